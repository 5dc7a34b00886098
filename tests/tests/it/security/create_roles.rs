use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use vulkan::{Client, Message};

use super::support::{DENIED, PARTS, Roles, code, drop_roles, fresh_prefix, run};
use crate::support::{TestDb, within};

fn create(prefix: &str) -> String {
    format!("SELECT vulkan.create_roles('{prefix}')")
}

/// Who migrates need not be who owns: what a member of the migrators makes belongs to the owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_migrator_migrates_for_the_owner() {
    let postgres = vulkan_devpg::shared().await;
    let database = postgres.create_database().await.unwrap();
    let admin = PgPoolOptions::new().connect_lazy_with(database.connect_options());
    let prefix = fresh_prefix();
    // As whoever runs the server prepares it: a schema that nobody else may make.
    run(
        &admin,
        format!(
            "CREATE ROLE {prefix}_owner NOLOGIN; CREATE ROLE {prefix}_migrator NOLOGIN NOINHERIT;
             GRANT {prefix}_owner TO {prefix}_migrator;
             CREATE SCHEMA vulkan AUTHORIZATION {prefix}_owner;
             CREATE ROLE {prefix}_deploy LOGIN PASSWORD 'p'; GRANT {prefix}_migrator TO {prefix}_deploy"
        ),
    )
    .await;
    let options = database.connect_options();
    let options = options.username(&format!("{prefix}_deploy")).password("p");
    let deploy = Client::new(PgPoolOptions::new().connect_lazy_with(options));
    deploy.migrate().await.unwrap();
    let owners: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = 'vulkan'::regnamespace",
    )
    .fetch_all(&admin)
    .await
    .unwrap();
    assert_eq!(owners, [format!("{prefix}_owner")]);
    // Its everyday session has none of the owner's rights.
    assert_eq!(
        code(deploy.pool(), "SELECT vulkan.create_stream('s')").await,
        DENIED
    );
    run(&admin, create(&prefix)).await;
    within("a second migrate", deploy.migrate()).await.unwrap();
    deploy.check_schema().await.unwrap();
    deploy.pool().close().await;
    run(
        &admin,
        format!("DROP ROLE {prefix}_deploy; {}", drop_roles(&prefix)),
    )
    .await;
    admin.close().await;
    database.close().await.unwrap();
}

/// One that may create roles, and one that may not.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_needs_no_superuser() {
    for createrole in [true, false] {
        let postgres = vulkan_devpg::shared().await;
        let database = postgres.create_database().await.unwrap();
        let admin = PgPoolOptions::new().connect_lazy_with(database.connect_options());
        let prefix = fresh_prefix();
        let app = format!("{prefix}_app");
        let name = database.name();
        let right = if createrole { "CREATEROLE" } else { "" };
        run(
            &admin,
            format!(
                "CREATE ROLE {app} LOGIN PASSWORD 'p' {right}; ALTER DATABASE {name} OWNER TO {app}"
            ),
        )
        .await;
        let options: PgConnectOptions = database.connect_options();
        let options = options.username(&app).password("p");
        let client = Client::new(PgPoolOptions::new().connect_lazy_with(options));
        client.migrate().await.unwrap();
        client.create_stream("orders").await.unwrap();
        if !createrole {
            let error = sqlx::query("SELECT vulkan.create_roles($1)")
                .bind(&prefix)
                .execute(client.pool())
                .await
                .unwrap_err();
            let error = error.into_database_error().unwrap();
            assert_eq!(error.code().as_deref(), Some(DENIED));
            let error = error.downcast::<sqlx::postgres::PgDatabaseError>();
            let hint = error.hint().unwrap();
            // The hint is what helps, word for word.
            let (_, statements) = hint.split_once("run: ").unwrap();
            let (statements, _) = statements.split_once("; then").unwrap();
            assert!(statements.contains("CREATE ROLE"), "{hint}");
            run(&admin, statements.to_owned()).await;
        }
        run(client.pool(), create(&prefix)).await;
        // It is a member of the new owner now: all goes on as before.
        client.create_stream("rows").await.unwrap();
        client.migrate().await.unwrap();
        let message = Message::new("orders", "n", &1).unwrap();
        client.publish(message).await.unwrap();
        client.maintain().await.unwrap();
        run(client.pool(), create(&prefix)).await;
        client.pool().close().await;
        run(
            &admin,
            format!(
                "ALTER DATABASE {name} OWNER TO CURRENT_USER; DROP OWNED BY {app}; DROP ROLE {app}; {}",
                drop_roles(&prefix)
            ),
        )
        .await;
        admin.close().await;
        database.close().await.unwrap();
    }
}

/// Roles are of the server: databases of it that call at the same moment want the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn databases_may_call_at_once() {
    let prefix = fresh_prefix();
    let mut databases = Vec::new();
    for _ in 0..4 {
        databases.push(TestDb::new().await);
    }
    let calls = databases.iter().flat_map(|db| [&db.pool, &db.pool]);
    let calls = calls.map(|pool: &PgPool| run(pool, create(&prefix)));
    within("all to have their roles", futures::future::join_all(calls)).await;
    for db in &databases {
        let publishers = format!("{prefix}_publisher");
        let may: bool = sqlx::query_scalar(
            "SELECT bool_and(has_function_privilege($1, oid, 'EXECUTE')) FROM pg_proc
             WHERE pronamespace = 'vulkan'::regnamespace AND proname = 'publish'",
        )
        .bind(publishers)
        .fetch_one(&db.pool)
        .await
        .unwrap();
        assert!(may);
    }
    for (nth, db) in databases.iter().enumerate() {
        let owned = PARTS.map(|part| format!("DROP OWNED BY {prefix}_{part};"));
        let last = nth + 1 == databases.len();
        let sql = if last {
            drop_roles(&prefix)
        } else {
            format!(
                "REASSIGN OWNED BY {prefix}_owner TO CURRENT_USER; {}",
                owned.concat()
            )
        };
        run(&db.pool, sql).await;
    }
}

/// A role that only has the name is not taken, nor is a name that is none; other databases' roles get nothing here.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_has_the_name_is_refused() {
    let roles = Roles::new().await;
    let db = TestDb::new().await;
    let strangers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'vulkan'::regnamespace
         AND has_function_privilege($1, oid, 'EXECUTE')",
    )
    .bind(format!("{}_worker", roles.prefix))
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(strangers, 0);

    let prefix = fresh_prefix();
    for rights in [
        "SUPERUSER",
        "LOGIN",
        "CREATEROLE",
        "BYPASSRLS",
        "REPLICATION",
    ] {
        run(&db.pool, format!("CREATE ROLE {prefix}_reader {rights}")).await;
        assert_eq!(code(&db.pool, &create(&prefix)).await, "VK003", "{rights}");
        run(&db.pool, format!("DROP ROLE {prefix}_reader")).await;
    }
    for bad in ["", "pg_x", "1a", "a b", "A", "a\"; DROP TABLE x", "ä"] {
        let refused = code(&db.pool, &create(bad)).await;
        assert_eq!(refused, "VK003", "{bad}");
    }
    let long = "a".repeat(41);
    assert_eq!(code(&db.pool, &create(&long)).await, "VK003");
    // Nor does a database get a second set.
    assert_eq!(code(&roles.pool, &create(&prefix)).await, "VK003");
    roles.end().await;
}

/// Rights that were given or taken by hand are put right by `grant_roles()`, which ends every migration.
#[tokio::test(flavor = "multi_thread")]
async fn rights_are_put_right() {
    let mut roles = Roles::new().await;
    let reader = roles.login(&["reader"]).await;
    let prefix = roles.prefix.clone();
    roles
        .made(format!(
            "GRANT ALL ON vulkan.claims TO {prefix}_reader; GRANT SELECT (payload) ON vulkan.events TO {prefix}_reader;
             GRANT EXECUTE ON FUNCTION vulkan.pause TO {prefix}_reader, PUBLIC; REVOKE SELECT ON vulkan.deliveries FROM {prefix}_reader"
        ))
        .await;
    run(&reader, "SELECT payload, 1 FROM vulkan.events".to_owned()).await;
    roles.run("SELECT vulkan.grant_roles()").await;
    for sql in [
        "SELECT token FROM vulkan.claims",
        "SELECT payload FROM vulkan.events",
        "SELECT vulkan.pause('orders', 'g')",
    ] {
        assert_eq!(code(&reader, sql).await, DENIED, "{sql}");
    }
    run(&reader, "SELECT * FROM vulkan.deliveries".to_owned()).await;
    roles.end().await;
}
