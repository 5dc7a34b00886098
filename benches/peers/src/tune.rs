pub fn tune<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(format!("TUNE_{name}")).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
