use sqlx::Row;

use super::support::Roles;

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
