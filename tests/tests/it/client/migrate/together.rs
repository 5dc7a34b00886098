use futures::future::join_all;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use vulkan::{Client, Message};

use crate::support::within;

/// How many migrations there are, by the files.
fn files() -> i64 {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations")).unwrap();
    i64::try_from(files.count()).unwrap()
}

async fn recorded(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM vulkan._sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_may_start_at_once() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let url = database.url();
    let clients = join_all((0..8).map(|_| Client::connect(&url))).await;
    let clients: Vec<Client> = clients.into_iter().map(Result::unwrap).collect();
    let migrated = within(
        "all to migrate",
        join_all(clients.iter().map(Client::migrate)),
    )
    .await;
    for done in migrated {
        done.unwrap();
    }
    let client = &clients[3];
    assert_eq!(recorded(client.pool()).await, files());
    client.check_schema().await.unwrap();

    // Again: a no-op, and it can be had while the schema is in use.
    client.create_stream("orders").await.unwrap();
    let before: String = fingerprint(client.pool()).await;
    let mut tx = client.begin().await.unwrap();
    let message = Message::new("orders", "n", &1).unwrap();
    client.publish_in(&mut *tx, message).await.unwrap();
    within("a second migrate", clients[0].migrate())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fingerprint(client.pool()).await, before);
}

/// Every object of the schema, with when its row was written.
async fn fingerprint(pool: &PgPool) -> String {
    sqlx::query_scalar(
        "SELECT md5(string_agg(o.line, ',' ORDER BY o.line)) FROM (
             SELECT 'r' || oid || ' ' || xmin FROM pg_class WHERE relnamespace = 'vulkan'::regnamespace AND relkind <> 't'
             UNION ALL SELECT 'p' || oid || ' ' || xmin FROM pg_proc WHERE pronamespace = 'vulkan'::regnamespace
             UNION ALL SELECT 'm' || version || ' ' || xmin FROM vulkan._sqlx_migrations) o(line)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migrations_of_the_application_are_left_alone() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let client = Client::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE public._sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
             installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL,
             execution_time bigint NOT NULL);
         INSERT INTO public._sqlx_migrations VALUES (20240101120000, 'app', now(), true, 'x', 1), (1, 'app', now(), false, 'x', 1)",
    )
    .execute(client.pool())
    .await
    .unwrap();
    let theirs = "SELECT array_agg(m::text ORDER BY version) FROM public._sqlx_migrations m";
    let before: Vec<String> = sqlx::query_scalar(theirs)
        .fetch_one(client.pool())
        .await
        .unwrap();
    client.migrate().await.unwrap();
    client.migrate().await.unwrap();
    let after: Vec<String> = sqlx::query_scalar(theirs)
        .fetch_one(client.pool())
        .await
        .unwrap();
    assert_eq!(after, before);
    assert_eq!(recorded(client.pool()).await, files());
    let elsewhere: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
            .fetch_one(client.pool())
            .await
            .unwrap();
    assert_eq!(elsewhere, 1, "everything of ours is in our schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_database_needs_no_superuser() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let name = database.name().to_owned();
    let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
    let make = format!(
        "CREATE ROLE {name} NOSUPERUSER NOCREATEDB LOGIN PASSWORD 'p'; ALTER DATABASE {name} OWNER TO {name}"
    );
    sqlx::raw_sql(AssertSqlSafe(make))
        .execute(&mut admin)
        .await
        .unwrap();

    let options = database.connect_options().username(&name).password("p");
    let client = Client::new(PgPoolOptions::new().connect_lazy_with(options));
    client.migrate().await.unwrap();
    client.create_stream("orders").await.unwrap();
    let message = Message::new("orders", "n", &1).unwrap();
    client.publish(message).await.unwrap();
    client.maintain().await.unwrap();
    let superuser: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            .fetch_one(client.pool())
            .await
            .unwrap();
    assert!(!superuser);

    client.pool().close().await;
    database.close().await.unwrap();
    let remove = format!("DROP ROLE {name}");
    sqlx::raw_sql(AssertSqlSafe(remove))
        .execute(&mut admin)
        .await
        .unwrap();
}
