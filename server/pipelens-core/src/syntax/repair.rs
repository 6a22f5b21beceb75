//! Makes broken text readable, so that one wrong line does not take the other steps with it.
