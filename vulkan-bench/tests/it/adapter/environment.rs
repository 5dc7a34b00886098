use super::support::{command, within};

/// Runs it to its end, and returns the exit code and what it said on either output.
async fn refused(variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = within("the process to end", command(variables).output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn a_bad_environment_is_told_in_one_line() {
    let url = ("DATABASE_URL", "postgres://nobody:secret@localhost/none");
    for (variables, told) in [
        (
            vec![],
            "DATABASE_URL is not set; it must be a URL of a Postgres database, such as postgres://user:password@host:5432/name",
        ),
        (
            vec![("DATABASE_URL", "mysql://me:secret@localhost/x")],
            "DATABASE_URL cannot be read; it must be a URL of a Postgres database, such as postgres://user:password@host:5432/name",
        ),
        (
            vec![url, ("PRODUCER_MODE", "sometimes")],
            r#"PRODUCER_MODE is "sometimes"; it must be fixed or depth-target"#,
        ),
        (
            vec![url, ("SCENARIO", "chaos")],
            r#"SCENARIO is "chaos"; it must be long_horizon"#,
        ),
        (
            vec![url, ("WORKER_COUNT", "many")],
            r#"WORKER_COUNT is "many"; it must be a whole number from 1 to 100000"#,
        ),
        (
            vec![url, ("PRODUCER_RATE", "-1")],
            r#"PRODUCER_RATE is "-1"; it must be a number from 0 to 10000000"#,
        ),
    ] {
        let (code, output, logs) = refused(&variables).await;
        assert_eq!(logs, format!("vulkan-bench adapter: {told}\n"));
        assert_eq!((code, output.as_str()), (Some(2), ""));
    }
}
