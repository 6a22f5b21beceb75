//! Amounts of memory and of processors.

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
    // Far below the largest integer.
    Some((cpus * 1e9) as i64)
}
