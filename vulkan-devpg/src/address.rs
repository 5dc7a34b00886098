//! Where a server is, as a URL.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::Error;

/// A server and a database on it. `Debug` and `Display` never show a password.
#[derive(Clone)]
pub(crate) struct Address {
    url: Url,
    options: PgConnectOptions,
}

impl Address {
    /// The maintenance database of a private cluster.
    pub(crate) fn of_cluster(directory: &Path) -> Result<Self, Error> {
        let host = percent_encoded(&directory.to_string_lossy());
        // Said in full, so that no PGPORT or PGSSLMODE around has a say. No user is called as a schema may be,
        // which would come first in the search path.
        let url =
            format!("postgres://postgres@localhost:5432/postgres?host={host}&sslmode=disable");
        Self::parse(&url)
    }

    /// Reads the URL of a server.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|error| Error::DatabaseUrl(error.into()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            let other = format!("its scheme is {:?}", url.scheme());
            return Err(Error::DatabaseUrl(other.into()));
        }
        let options = url.as_str().parse();
        let options = options.map_err(|error: sqlx::Error| Error::DatabaseUrl(error.into()))?;
        Ok(Self { url, options })
    }

    /// Another database on the same server.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(name);
        // `dbname=` would win over the path.
        let query = self.url.query().unwrap_or_default().split('&');
        let kept: Vec<&str> = query.filter(|pair| !pair.starts_with("dbname=")).collect();
        let kept = kept.join("&");
        url.set_query(Some(kept.as_str()).filter(|query| !query.is_empty()));
        Self {
            url,
            options: self.options.clone().database(name),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = &self.options;
        match options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display())?,
            None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
        }
        let database = options.get_database().unwrap_or(options.get_username());
        write!(f, " (user {}, database {database})", options.get_username())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Every byte that is not plainly harmless in a query as `%XX`.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Address;

    #[test]
    fn a_socket_directory_survives_the_url() {
        let directory = Path::new("/tmp/a b&c=d+e%é");
        let address = Address::of_cluster(directory).unwrap();
        let read_back = Address::parse(&address.url()).unwrap();
        assert_eq!(
            read_back.options().get_socket().map(|path| path.as_path()),
            Some(directory)
        );
        assert_eq!(read_back.options().get_username(), "postgres");
        assert_eq!(read_back.options().get_database(), Some("postgres"));
    }

    #[test]
    fn another_database_keeps_all_the_rest() {
        let address =
            Address::parse("postgres://me:pw@db.example:6432/one?dbname=two&sslmode=require");
        let other = address.unwrap().with_database("three");
        assert_eq!(
            other.url(),
            "postgres://me:pw@db.example:6432/three?sslmode=require"
        );
        assert_eq!(other.options().get_database(), Some("three"));
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("postgres://me:hunter2@db.example/one").unwrap();
        let shown = format!("{address} {address:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("db.example:5432 (user me, database one)"));
    }

    #[test]
    fn another_scheme_is_refused() {
        let error = Address::parse("mysql://me:hunter2@db.example/one").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
