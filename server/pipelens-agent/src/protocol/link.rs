//! One side of a conversation that survives its connections: numbers messages, keeps what was not acknowledged, and drops what arrives twice.

use std::collections::VecDeque;

use bytes::Bytes;

/// One side's memory of a conversation.
#[derive(Debug, Default)]
pub struct Link {
    /// The number of the last message that was given one.
    last: u64,
    /// Messages that the other side has not acknowledged, oldest first; the newest has the number `last`.
    unacknowledged: VecDeque<Bytes>,
    unacknowledged_bytes: usize,
    /// How many of them have been sent on the current connection.
    sent: usize,
    /// The number of the last message that has arrived.
    received: u64,
    /// The last one whose arrival was acknowledged on the current connection.
    acknowledged: u64,
}

/// The other side remembers another conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side counts messages that were never sent")]
pub struct OutOfStep;

impl Link {
    /// Adds a message to be sent.
    pub fn push(&mut self, body: Bytes) {
        self.last += 1;
        self.unacknowledged_bytes += body.len();
        self.unacknowledged.push_back(body);
    }

    /// How much the other side has not acknowledged.
    pub fn unacknowledged_bytes(&self) -> usize {
        self.unacknowledged_bytes
    }

    /// Whether everything that was said has arrived at the other side.
    pub fn is_settled(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Returns the next message to be sent on the current connection.
    pub fn next_to_send(&mut self) -> Option<(u64, Bytes)> {
        let body = self.unacknowledged.get(self.sent)?.clone();
        self.sent += 1;
        let number = self.first() + self.sent as u64 - 1;
        Some((number, body))
    }

    /// Returns the number to acknowledge, if more has arrived since the last call.
    pub fn ack(&mut self) -> Option<u64> {
        (self.acknowledged < self.received).then(|| {
            self.acknowledged = self.received;
            self.received
        })
    }

    /// The number of the last message that has arrived, for the greeting.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Begins a new connection, on which the other side has reported what it has received: the rest is sent again.
    pub fn resume(&mut self, received_by_other: u64) -> Result<(), OutOfStep> {
        self.acknowledge(received_by_other)?;
        self.sent = 0;
        // The greeting told it.
        self.acknowledged = self.received;
        Ok(())
    }

    /// The other side has everything up to this message.
    pub fn acknowledge(&mut self, number: u64) -> Result<(), OutOfStep> {
        if number > self.last {
            return Err(OutOfStep);
        }
        while self.first() <= number
            && let Some(body) = self.unacknowledged.pop_front()
        {
            self.unacknowledged_bytes -= body.len();
            self.sent = self.sent.saturating_sub(1);
        }
        Ok(())
    }

    /// A message has arrived. Returns whether it is new; one that was skipped is an error.
    pub fn receive(&mut self, number: u64) -> Result<bool, OutOfStep> {
        if number <= self.received {
            return Ok(false);
        }
        if number != self.received + 1 {
            return Err(OutOfStep);
        }
        self.received = number;
        Ok(true)
    }

    /// The number of the oldest message that was not acknowledged.
    fn first(&self) -> u64 {
        self.last + 1 - self.unacknowledged.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happens next between two sides.
    #[derive(Debug, Clone)]
    enum Event {
        Say,
        Send,
        Arrive,
        Acknowledge,
        /// The connection breaks with everything that is under way, and another one is made.
        Cut,
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Say),
            4 => Just(Event::Send),
            4 => Just(Event::Arrive),
            2 => Just(Event::Acknowledge),
            1 => Just(Event::Cut),
        ]
    }

    proptest! {
        #[test]
        fn every_message_arrives_once_and_in_order_whatever_is_cut(events in proptest::collection::vec(events(), 0..400)) {
            let (mut sender, mut receiver) = (Link::default(), Link::default());
            let (mut said, mut heard, mut under_way) = (0u32, Vec::new(), VecDeque::new());
            let arrive = |receiver: &mut Link, heard: &mut Vec<u32>, (number, body): (u64, Bytes)| {
                if receiver.receive(number).unwrap() {
                    heard.push(u32::from_be_bytes(body.as_ref().try_into().unwrap()));
                }
            };
            for event in events {
                match event {
                    Event::Say => {
                        sender.push(Bytes::copy_from_slice(&said.to_be_bytes()));
                        said += 1;
                    }
                    Event::Send => under_way.extend(sender.next_to_send()),
                    Event::Arrive => if let Some(message) = under_way.pop_front() {
                        arrive(&mut receiver, &mut heard, message);
                    },
                    Event::Acknowledge => if let Some(number) = receiver.ack() {
                        sender.acknowledge(number).unwrap();
                    },
                    Event::Cut => {
                        under_way.clear();
                        receiver.resume(0).unwrap();
                        sender.resume(receiver.received()).unwrap();
                    }
                }
                prop_assert_eq!(sender.unacknowledged_bytes(), 4 * sender.unacknowledged.len());
            }
            under_way.extend(std::iter::from_fn(|| sender.next_to_send()));
            under_way.into_iter().for_each(|message| arrive(&mut receiver, &mut heard, message));
            prop_assert_eq!(heard, (0..said).collect::<Vec<_>>());
            sender.acknowledge(receiver.received()).unwrap();
            prop_assert!(sender.is_settled());
        }
    }

    #[test]
    fn a_side_that_counts_what_was_never_said_is_refused() {
        let mut link = Link::default();
        link.push(Bytes::from_static(b"one"));
        assert_eq!(link.resume(2), Err(OutOfStep));
        assert_eq!(link.receive(2), Err(OutOfStep));
        assert_eq!(link.receive(1), Ok(true));
        assert_eq!(link.receive(1), Ok(false));
    }
}
