//! What the arguments of a runner mean: one reader for the findings and for the run.

/// Reads an amount of memory: bytes, or a number with `k`, `m` or `g`, in powers of 1024.
pub fn memory_bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches("ib").trim_end_matches('b');
    let digits = lower.trim_end_matches(['k', 'm', 'g']);
    let factor = match lower.strip_prefix(digits)? {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// Reads a number of processors, as billionths of one.
pub fn nano_cpus(text: &str) -> Option<i64> {
    let cpus = text.parse::<f64>().ok().filter(|cpus| cpus.is_finite() && *cpus > 0.0 && *cpus < 100_000.0)?;
    // Far below what an integer holds.
    Some((cpus * 1e9) as i64)
}

/// Tells whether a network is the machine's own or another container's, which are not a file's to take.
pub fn opens_the_machine(network: &str) -> bool {
    network == "host" || network.starts_with("container:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_write_them() {
        assert_eq!(memory_bytes("512m"), Some(512 << 20));
        assert_eq!(memory_bytes("2GiB"), Some(2 << 30));
        assert_eq!(memory_bytes("1000"), Some(1000));
        assert_eq!(nano_cpus("0.5"), Some(500_000_000));
        for text in ["much", "", "0", "-1", "1kk", "99999999999g"] {
            assert_eq!(memory_bytes(text), None, "{text}");
        }
        for text in ["", "0", "-1", "inf", "NaN", "two"] {
            assert_eq!(nano_cpus(text), None, "{text}");
        }
    }
}
