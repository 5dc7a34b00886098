//! The configuration file of a private cluster.

use std::path::Path;

use crate::Error;

/// Settings for [`Postgres::start_private`](crate::Postgres::start_private) that
/// trade safety from power loss for speed.
///
/// Committed work survives a crash of the server, not one of the machine, which
/// is all that a test can tell. [`shared`](crate::shared) runs with them.
pub const FAST: &[(&str, &str)] = &[("fsync", "off"), ("full_page_writes", "off")];

/// The lines to add to postgresql.conf: ours, then `extra`, of which the last wins.
pub(crate) fn file(directory: &Path, extra: &[(String, String)]) -> Result<String, Error> {
    // A list of paths: quotes keep a comma or a space in one path.
    let directory = directory.to_string_lossy().replace('"', "\"\"");
    let directory = format!("\"{directory}\"");
    let ours = [
        // Nothing listens on TCP.
        ("listen_addresses", ""),
        // Said here, so that it is certain: it names the socket's file.
        ("port", "5432"),
        ("unix_socket_directories", directory.as_str()),
        // Enough for the tests of one binary, each with a pool of its own.
        ("max_connections", "300"),
    ];
    let extra = extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    ours.into_iter().chain(extra).map(line).collect()
}

fn line((name, value): (&str, &str)) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let named = !name.is_empty() && name.chars().all(plain);
    if !named || value.contains(['\n', '\r', '\0']) {
        return Err(Error::Setting { name: name.into() });
    }
    let value = value.replace('\\', r"\\").replace('\'', "''");
    Ok(format!("{name} = '{value}'\n"))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_value_is_quoted() {
        let quoted = line(("search_path", r"it's \ here")).unwrap();
        assert_eq!(quoted, "search_path = 'it''s \\\\ here'\n");
    }

    #[test]
    fn a_setting_cannot_smuggle_in_another() {
        for (name, value) in [("", "1"), ("a b", "1"), ("a=1\nb", "1"), ("a", "1\nb = 2")] {
            assert!(line((name, value)).is_err(), "{name:?} {value:?}");
        }
    }
}
