use sqlx::{AssertSqlSafe, Row};

use super::support::{DENIED, Roles, code, run};

/// Whatever runs with the rights of the owner looks for names where nobody else can put one, and is for nobody by default.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_as_the_owner_has_a_fixed_path_and_an_acl() {
    let roles = Roles::new().await;
    let rows = sqlx::query(
        "SELECT p.oid::regprocedure::text AS function, coalesce(p.proconfig, '{}') AS settings,
                EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) AS open
         FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = 'vulkan'::regnamespace",
    )
    .fetch_all(&roles.pool)
    .await
    .unwrap();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let function: String = row.get("function");
        let settings: Vec<String> = row.get("settings");
        let path = "search_path=pg_catalog, vulkan, pg_temp";
        assert!(
            settings.iter().any(|setting| setting == path),
            "{function}: {settings:?}"
        );
        assert!(!row.get::<bool, _>("open"), "PUBLIC may call {function}");
    }
    // And the way around: what makes DDL or changes rights has the path, too.
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace = 'vulkan'::regnamespace AND p.proname IN ('create_roles', 'grant_roles', 'hand_over')
           AND NOT 'search_path=pg_catalog, vulkan, pg_temp' = ANY (coalesce(p.proconfig, '{}'))",
    )
    .fetch_all(&roles.pool)
    .await
    .unwrap();
    assert!(bare.is_empty(), "{bare:?}");
    roles.end().await;
}

/// Somebody with a role, and a schema to put things into, shadows all that the functions might name.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_attacker_puts_in_the_way_is_never_met() {
    let mut roles = Roles::new().await;
    roles
        .run(
            "CREATE TABLE public.caught (by text, what text); GRANT ALL ON public.caught TO PUBLIC",
        )
        .await;
    let attacker = roles
        .login(&["publisher", "worker", "operator", "reader"])
        .await;
    let name = roles.newest().to_owned();
    roles
        .made(format!(
            "CREATE SCHEMA lair AUTHORIZATION {name}; GRANT USAGE ON SCHEMA lair TO PUBLIC"
        ))
        .await;
    let mut session = attacker.acquire().await.unwrap();
    // Functions with more fitting arguments than those of pg_catalog have, for what the engine calls; each says who fell for it.
    let traps: [(&str, &str, &str); 15] = [
        ("format", "text, integer", "text"),
        ("format", "text, bigint", "text"),
        ("format", "text, text", "text"),
        ("format", "text, text, text", "text"),
        ("format", "text, text, text, bigint, bigint", "text"),
        ("greatest_of", "bigint, bigint", "bigint"),
        ("left", "text, integer", "text"),
        ("length", "text", "integer"),
        ("octet_length", "text", "integer"),
        ("clock_timestamp", "", "timestamptz"),
        ("coalesce_of", "text", "text"),
        ("cardinality", "bigint[]", "integer"),
        ("hashtextextended", "text, integer", "bigint"),
        ("jsonb_typeof", "jsonb", "text"),
        ("set_config", "text, text, boolean", "text"),
    ];
    let mut sql = String::from("SET search_path = lair, pg_temp, pg_catalog, vulkan, public;");
    for (function, arguments, result) in traps {
        sql += &format!(
            "CREATE FUNCTION lair.{function}({arguments}) RETURNS {result} LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO public.caught VALUES (current_user, '{function}'); RETURN NULL; END $$;"
        );
    }
    for (operator, left, right) in [
        ("=", "integer", "integer"),
        ("=", "bigint", "bigint"),
        ("=", "text", "text"),
        ("<=", "bigint", "bigint"),
        (">", "bigint", "bigint"),
        ("<=", "timestamptz", "timestamptz"),
        ("~", "text", "text"),
    ] {
        let nth = sql.len();
        sql += &format!(
            "CREATE FUNCTION lair.trap_{nth}({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO public.caught VALUES (current_user, 'operator {operator}'); RETURN true; END $$;
             CREATE OPERATOR lair.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = lair.trap_{nth});"
        );
    }
    // Temporary tables of the names of ours, and of pg_catalog's.
    for table in [
        "streams",
        "groups",
        "events",
        "claims",
        "meta",
        "exceptions",
        "lanes",
        "pg_proc",
        "pg_class",
        "pg_roles",
        "pg_locks",
    ] {
        sql += &format!("CREATE TEMP TABLE {table} (name text, oid oid);");
    }
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut *session)
        .await
        .unwrap();
    // Everything that runs as the owner, once at least.
    for call in [
        "SELECT vulkan.create_stream('more', 1)",
        "SELECT vulkan.create_group('orders', 'g', rules => '[{\"kind\": \"order.*\"}]')",
        "SELECT vulkan.set_binding('orders', 'g', '[{\"kind\": \">\"}]')",
        "SELECT vulkan.alter_group('orders', 'g', max_attempts => 3)",
        "SELECT vulkan.set_limits('orders', 'g', max_in_flight => 5, rate => 100)",
        "SELECT vulkan.set_breaker('orders', 'g', failure_percent => 50)",
        "SELECT vulkan.publish('orders', 'a.b', '{}', partition_key => 'k', headers => '{}')",
        "SELECT vulkan.publish('orders', 'a.b', '{}', dedup_id => 'd')",
        "SELECT vulkan.publish_many('orders', '{a,b}', '{1,2}'::jsonb[])",
        "SELECT vulkan.publish_many('orders', '{a,b}', '{1,2}'::jsonb[], dedup_ids => '{x,y}')",
        "INSERT INTO vulkan.events_1 (kind, payload) VALUES ('a', pg_catalog.to_jsonb(pg_catalog.repeat('x', 2000)))",
        "SELECT vulkan.claim(1, 'w')",
        "SELECT * FROM vulkan.settle(1, '{2}', '{1}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT * FROM vulkan.extend('{1}', '{1}', '{1}', '{1}')",
        "SELECT * FROM vulkan.look('{1}')",
        "SELECT * FROM vulkan.reap()",
        "SELECT * FROM vulkan.maintain()",
        "SELECT vulkan.pause('orders', 'g')",
        "SELECT vulkan.resume('orders', 'g')",
        "SELECT vulkan.skip('orders', 'g', 2)",
        "SELECT vulkan.redrive('orders', 'g', error_like => '%')",
        "SELECT * FROM vulkan.replay('orders', 'g', to_position => 'earliest')",
        "SELECT vulkan.put_schedule('s', 'orders', 'tick', '{}', every => '1 hour')",
        "SELECT vulkan.run_schedule_now('s')",
        "SELECT * FROM vulkan.due_schedules()",
        "SELECT vulkan.worker_beat('w', 'i')",
        "SELECT vulkan.drain_worker('w')",
        "SELECT * FROM vulkan.inspect(2)",
        "SELECT vulkan.group_backlog('orders', 'g'), vulkan.is_drained('orders', 'g'), vulkan.lag(1)",
        "SELECT * FROM vulkan.check()",
        "SELECT vulkan.roll_slot()",
    ] {
        sqlx::raw_sql(AssertSqlSafe(call))
            .execute(&mut *session)
            .await
            .unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    // What the attacker's own calls fell for ran as the attacker, who could do all that before.
    let caught: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT by, what FROM public.caught ORDER BY 1, 2")
            .fetch_all(&roles.pool)
            .await
            .unwrap();
    assert!(
        caught.iter().all(|(by, _)| *by == name),
        "somebody else's code ran: {caught:?}"
    );
    // The traps are good ones: a function without its path falls into them at once.
    roles
        .run("ALTER FUNCTION vulkan.create_stream RESET search_path")
        .await;
    let _ = sqlx::raw_sql("SELECT vulkan.create_stream('trapped')")
        .execute(&mut *session)
        .await;
    drop(session);
    let trapped: i64 = sqlx::query_scalar("SELECT count(*) FROM public.caught WHERE by = $1")
        .bind(format!("{}_owner", roles.prefix))
        .fetch_one(&roles.pool)
        .await
        .unwrap();
    assert!(trapped > 0, "the traps catch nobody");
    // Nor may the attacker put anything where the owner does look.
    for sql in [
        "CREATE TABLE vulkan.pg_class ()",
        "CREATE FUNCTION vulkan.format(text, integer) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        "CREATE OPERATOR vulkan.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = pg_catalog.int4eq)",
        "CREATE FUNCTION pg_catalog.mine() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    ] {
        assert_eq!(code(&attacker, sql).await, DENIED, "{sql}");
    }
    roles.check().await;
    attacker.close().await;
    run(&roles.pool, "DROP SCHEMA lair CASCADE".to_owned()).await;
    roles.end().await;
}
