use std::ops::Deref;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use vulkan::Client;

use crate::support::TestDb;

/// The parts of the roles' names.
pub(super) const PARTS: [&str; 6] = [
    "owner",
    "migrator",
    "publisher",
    "worker",
    "operator",
    "reader",
];

/// A database with roles of its own. [`end`](Self::end) removes them, as they are of the server.
pub(super) struct Roles {
    db: TestDb,
    pub(super) prefix: String,
    logins: Vec<String>,
}

impl Roles {
    pub(super) async fn new() -> Self {
        let db = TestDb::new().await;
        let prefix = fresh_prefix();
        sqlx::query("SELECT vulkan.create_roles($1)")
            .bind(&prefix)
            .execute(&db.pool)
            .await
            .unwrap();
        Self {
            db,
            prefix,
            logins: Vec::new(),
        }
    }

    /// Runs statements made of texts of the test's own.
    pub(super) async fn made(&self, sql: String) {
        run(&self.db.pool, sql).await;
    }

    /// A new role that logs in and has these parts.
    pub(super) async fn login(&mut self, parts: &[&str]) -> PgPool {
        let name = format!("{}_login_{}", self.prefix, self.logins.len());
        self.made(format!("CREATE ROLE {name} LOGIN PASSWORD 'p'"))
            .await;
        self.logins.push(name.clone());
        for part in parts {
            self.made(format!("GRANT {}_{part} TO {name}", self.prefix))
                .await;
        }
        pool(&self.db, &name)
    }

    pub(super) async fn client(&mut self, parts: &[&str]) -> Client {
        Client::new(self.login(parts).await)
    }

    /// The name of the newest login.
    pub(super) fn newest(&self) -> &str {
        &self.logins[self.logins.len() - 1]
    }

    pub(super) async fn end(self) {
        let mut sql = String::new();
        for name in &self.logins {
            sql += &format!("DROP OWNED BY {name}; DROP ROLE {name};");
        }
        sql += &drop_roles(&self.prefix);
        self.made(sql).await;
    }
}

impl Deref for Roles {
    type Target = TestDb;

    fn deref(&self) -> &TestDb {
        &self.db
    }
}

/// Unlike that of any other test or run.
pub(super) fn fresh_prefix() -> String {
    format!("t{}", &uuid::Uuid::now_v7().simple().to_string()[4..28])
}

/// Connections of a role that logs in with the password `p`.
pub(super) fn pool(db: &TestDb, name: &str) -> PgPool {
    let options: PgConnectOptions = db.url().parse().unwrap();
    let options = options.username(name).password("p");
    PgPoolOptions::new()
        .max_connections(10)
        .connect_lazy_with(options)
}

pub(super) async fn run(pool: &PgPool, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What removes the roles of a prefix from a database whose they are.
pub(super) fn drop_roles(prefix: &str) -> String {
    let mut sql = format!("REASSIGN OWNED BY {prefix}_owner TO CURRENT_USER;");
    for part in PARTS {
        sql += &format!("DROP OWNED BY {prefix}_{part}; DROP ROLE {prefix}_{part};");
    }
    sql
}

/// The SQLSTATE with which a role is refused a statement.
pub(super) async fn code(pool: &PgPool, sql: &str) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .err()
        .unwrap_or_else(|| panic!("{sql} was allowed"));
    let code = error.as_database_error().and_then(|error| error.code());
    code.unwrap_or_else(|| panic!("{sql}: {error}"))
        .into_owned()
}

/// Permission denied.
pub(super) const DENIED: &str = "42501";
