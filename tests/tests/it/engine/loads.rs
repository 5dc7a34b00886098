//! Loads by any client: COPY and INSERT .. SELECT into the table of one stream.

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};

use crate::support::{Publish, TestDb, within};

/// COPY of a few rows, in the caller's transaction.
async fn copy(connection: &mut PgConnection, rows: &'static str) -> sqlx::Result<u64> {
    let events: String = sqlx::query_scalar("SELECT vulkan.events_of('orders')::text")
        .fetch_one(&mut *connection)
        .await?;
    let statement = format!("COPY {events} (kind, payload) FROM STDIN");
    let mut copy = connection.copy_in_raw(&statement).await?;
    copy.send(rows.as_bytes()).await?;
    copy.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_holds_the_horizon_until_its_end() {
    let db = TestDb::new().await;
    let group = db.group("audit").await;
    let before = Publish::new("n").send(&db.pool).await;
    let mut connection = db.connect().await;
    for insert in [false, true] {
        let mut open = connection.begin().await.unwrap();
        if insert {
            let sql = "INSERT INTO vulkan.events_1 (kind, payload)
                       SELECT 'n', to_jsonb(n) FROM generate_series(1, 2) n ORDER BY n";
            sqlx::query(sql).execute(&mut *open).await.unwrap();
        } else {
            assert_eq!(copy(&mut open, "n\t1\nn\t2\n").await.unwrap(), 2);
        }
        let behind = Publish::new("behind").send(&db.pool).await;
        let mut seen = group.claim().await;
        if !insert {
            assert_eq!(seen.remove(0).offset, before);
        }
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(
            db.value::<i64>("SELECT count(*) FROM vulkan.lso_holders")
                .await,
            1
        );
        open.commit().await.unwrap();
        let offsets: Vec<i64> = group.claim().await.iter().map(|m| m.offset).collect();
        assert_eq!(offsets, [behind - 2, behind - 1, behind]);
    }
}

/// The inner one ends first, and the outer is looked at from its own beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_within_a_load_is_looked_at_whole() {
    let db = TestDb::new().await;
    db.run(
        "CREATE FUNCTION load_another() RETURNS text LANGUAGE sql VOLATILE AS $$
             WITH inner_load AS (INSERT INTO vulkan.events_1 (kind, payload) VALUES ('inner', '1') RETURNING kind)
             SELECT kind FROM inner_load $$",
    )
    .await;
    let sql = "INSERT INTO vulkan.events_1 (kind, payload)
               SELECT CASE n WHEN 2 THEN load_another() ELSE 'outer' END, to_jsonb(repeat('x', CASE n WHEN 1 THEN 2000000 ELSE 1 END))
               FROM generate_series(1, 3) n ORDER BY n";
    assert_eq!(db.code(sql).await, "VK003");
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
}

/// The floor comes before the first row is read, however long that takes to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_has_no_row_yet_is_announced() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let mut copy = connection
        .copy_in_raw("COPY vulkan.events_1 (kind, payload) FROM STDIN")
        .await
        .unwrap();
    within("the floor", async {
        while db
            .value::<i64>("SELECT count(*) FROM vulkan.lso_holders")
            .await
            == 0
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stable: i64 = db.value("SELECT vulkan.lso('orders')").await;
    Publish::new("n").send(&db.pool).await;
    assert_eq!(db.value::<i64>("SELECT vulkan.lso('orders')").await, stable);
    copy.send(&b"n\t1\n"[..]).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    assert_eq!(
        db.value::<i64>("SELECT vulkan.lso('orders')").await,
        stable + 2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_leaves_nothing_and_holds_nothing() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let error = copy(&mut connection, "n\t1\nn\tno json\nn\t2\n")
        .await
        .unwrap_err();
    assert!(error.as_database_error().is_some(), "{error:?}");
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.events").await,
        0
    );
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lso_holders")
            .await,
        0
    );
    assert_eq!(copy(&mut connection, "n\t1\n").await.unwrap(), 1);
    db.check().await;
}

/// The bell is held by one that fell asleep after the COPY had begun.
#[tokio::test(flavor = "multi_thread")]
async fn who_falls_asleep_during_a_copy_is_rung_for() {
    let db = TestDb::new().await;
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen("vulkan").await.unwrap();
    let mut connection = db.connect().await;
    let mut copy = connection
        .copy_in_raw("COPY vulkan.events_1 (kind, payload) FROM STDIN")
        .await
        .unwrap();
    copy.send(&b"n\t1\n"[..]).await.unwrap();
    let mut sleeper = db.connect().await;
    sqlx::query("SELECT pg_advisory_lock(1459617794, 1)")
        .execute(&mut sleeper)
        .await
        .unwrap();
    copy.finish().await.unwrap();
    let rung = within("the bell", listener.recv()).await.unwrap();
    assert_eq!(rung.payload(), "1");
}

/// Neither the log as a whole nor a leaf gives an offset to who would not be announced.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_offset_without_an_announcement() {
    let db = TestDb::new().await;
    for sql in [
        "INSERT INTO vulkan.events (stream_id, kind, payload) VALUES (1, 'n', '1')",
        "INSERT INTO vulkan.events_1_0 (stream_id, kind, payload) VALUES (1, 'n', '1')",
    ] {
        // None of a partition where it is routed, NULL in the leaf.
        assert!(
            ["23514", "23502"].contains(&db.code(sql).await.as_str()),
            "{sql}"
        );
    }
    // To another stream it does not go either.
    db.run("SELECT vulkan.create_stream('payments')").await;
    let stray = "INSERT INTO vulkan.events_1 (stream_id, kind, payload) VALUES (2, 'n', '1')";
    assert_eq!(db.code(stray).await, "23514");
    assert_eq!(db.code("SELECT vulkan.events_of('nowhere')").await, "VK001");
    // Where replication applies what others wrote, ordinary triggers rest.
    let mut connection = db.connect().await;
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut open = connection.begin().await.unwrap();
    copy(&mut open, "n\t1\n").await.unwrap();
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM vulkan.lso_holders")
            .await,
        1
    );
    open.commit().await.unwrap();

    db.run("ALTER TABLE vulkan.events_2 DISABLE TRIGGER before")
        .await;
    let broken: Vec<(i32, String)> = sqlx::query_as("SELECT invariant, stream FROM vulkan.check()")
        .fetch_all(&db.pool)
        .await
        .unwrap();
    assert_eq!(broken, [(11, "payments".to_owned())]);
}

/// The slots go on under a COPY, as far as there were partitions ahead when it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_in_the_next_slot() {
    let db = TestDb::new().await;
    db.run("SELECT vulkan.create_stream('narrow', 1)").await;
    let mut connection = db.connect().await;
    let mut copy = connection
        .copy_in_raw("COPY vulkan.events_2 (kind, payload) FROM STDIN (FORMAT csv)")
        .await
        .unwrap();
    for _ in 0..4 {
        // Enough for the server to take it out of its buffers.
        copy.send("n,1\n".repeat(50_000).into_bytes())
            .await
            .unwrap();
        within("the next slot", db.run("SELECT vulkan.roll_slot()")).await;
    }
    copy.send(&b"last,1\n"[..]).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 200_001);
    let (last, slots): (String, i64) = sqlx::query_as(
        "SELECT (array_agg(kind ORDER BY \"offset\" DESC))[1], count(DISTINCT \"offset\" / 1000000000) FROM vulkan.events",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(last, "last");
    assert!(slots > 1, "{slots}");
    db.check().await;
}
