//! Sessions stepped through every order of their statements.

use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::task::JoinHandle;
use vulkan_testing::within;

use crate::support::{Group, TestDb};

/// What a statement answered: the first column of its rows as text, or the SQLSTATE of its error.
pub(super) type Answer = Result<Vec<String>, String>;

/// What each session's statements answered, in the order of its script.
pub(super) type Answers = Vec<Vec<Answer>>;

/// The statements of each session. Several in one text are one step.
pub(super) type Script = Vec<Vec<String>>;

/// Every order in which sessions with so many statements each can take their turns.
pub(super) fn every_order(lengths: &[usize]) -> Vec<Vec<usize>> {
    if lengths.iter().all(|length| *length == 0) {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (session, length) in lengths
        .iter()
        .enumerate()
        .filter(|(_, length)| **length > 0)
    {
        let mut rest = lengths.to_vec();
        rest[session] = length - 1;
        for mut order in every_order(&rest) {
            order.insert(0, session);
            orders.push(order);
        }
    }
    orders
}

/// Steps a script through every order. Each begins with a group of its own, which `prepare` brings to where it matters; `judge` is
/// told what everybody was answered. Returns how many orders there were, and how many statements had to wait for a lock.
pub(super) async fn explore(
    db: &TestDb,
    prepare: impl AsyncFn(&Group) -> Script,
    judge: impl AsyncFn(&Group, &Answers),
) -> (usize, usize) {
    let group = new_group(db).await;
    let script = prepare(&group).await;
    let orders = every_order(&script.iter().map(Vec::len).collect::<Vec<_>>());
    forget(db, &group).await;
    let mut sessions = Vec::new();
    for _ in &script {
        sessions.push(Session::new(db).await);
    }
    let mut waited = 0;
    for order in &orders {
        let group = new_group(db).await;
        let script = prepare(&group).await;
        let answers = run(&db.pool, &mut sessions, &script, order, &mut waited).await;
        let deadlocks = answers.iter().flatten();
        let deadlocks =
            deadlocks.filter(|answer| answer.as_ref().is_err_and(|code| code == "40P01"));
        assert_eq!(
            deadlocks.count(),
            0,
            "a deadlock in {order:?} of {script:#?}"
        );
        let judged = async {
            let violations: Vec<String> =
                sqlx::query_scalar("SELECT c::text FROM vulkan.check(50) c")
                    .fetch_all(&db.pool)
                    .await
                    .unwrap();
            assert!(violations.is_empty(), "{violations:#?}");
            judge(&group, &answers).await;
        };
        use futures::FutureExt;
        if let Err(panic) = std::panic::AssertUnwindSafe(judged).catch_unwind().await {
            eprintln!("in the order {order:?} of {script:#?}, with the answers {answers:#?}");
            std::panic::resume_unwind(panic);
        }
        forget(db, &group).await;
    }
    (orders.len(), waited)
}

/// One of the sessions: its connection is with the statement that it runs.
struct Session {
    pid: i32,
    connection: Option<PgConnection>,
    running: Option<JoinHandle<(PgConnection, Answer)>>,
}

impl Session {
    async fn new(db: &TestDb) -> Self {
        let mut connection = db.connect().await;
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
        Self {
            pid: pid.fetch_one(&mut connection).await.unwrap(),
            connection: Some(connection),
            running: None,
        }
    }

    fn begin(&mut self, sql: String) {
        let mut connection = self.connection.take().unwrap();
        self.running = Some(tokio::spawn(async move {
            let answer = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await;
            let answer = match answer {
                Ok(rows) => Ok(rows
                    .iter()
                    .filter_map(|row| row.try_get_raw(0).ok()?.as_str().ok().map(String::from))
                    .collect()),
                Err(error) => Err(error
                    .as_database_error()
                    .and_then(|error| error.code())
                    .unwrap_or_else(|| panic!("{error}"))
                    .into_owned()),
            };
            (connection, answer)
        }));
    }

    /// What the statement answered, or `None` if it waits for a lock that another session has.
    async fn answer_or_wait(&mut self, pool: &PgPool) -> Option<Answer> {
        within("a statement to end or to wait", async {
            loop {
                let running = self.running.as_mut().unwrap();
                if running.is_finished() {
                    let (connection, answer) = running.await.unwrap();
                    self.running = None;
                    self.connection = Some(connection);
                    return Some(answer);
                }
                let waits: bool =
                    sqlx::query_scalar("SELECT cardinality(pg_blocking_pids($1)) > 0")
                        .bind(self.pid)
                        .fetch_one(pool)
                        .await
                        .unwrap();
                if waits {
                    return None;
                }
            }
        })
        .await
    }
}

async fn run(
    pool: &PgPool,
    sessions: &mut [Session],
    script: &Script,
    order: &[usize],
    waited: &mut usize,
) -> Answers {
    let mut answers: Answers = vec![Vec::new(); script.len()];
    // Who is to run its next statement; the turn of one that waits comes when it waits no more.
    let mut turns: Vec<usize> = order.to_vec();
    while let Some(at) = turns
        .iter()
        .position(|session| sessions[*session].running.is_none())
    {
        let session = turns.remove(at);
        let sql = script[session][answers[session].len()].clone();
        sessions[session].begin(sql);
        if sessions[session]
            .answer_or_wait(pool)
            .await
            .is_some_and(|answer| {
                answers[session].push(answer);
                true
            })
        {
            // It may have let others go on.
            for (other, state) in sessions.iter_mut().enumerate() {
                if state.running.is_some()
                    && let Some(answer) = state.answer_or_wait(pool).await
                {
                    answers[other].push(answer);
                }
            }
        } else {
            *waited += 1;
        }
        // Whoever still waits when no other can go on waits for a time of its own, such as a lock_timeout.
        if !turns.is_empty() && turns.iter().all(|next| sessions[*next].running.is_some()) {
            let next = turns[0];
            let (connection, answer) = within(
                "a statement that waits",
                sessions[next].running.take().unwrap(),
            )
            .await
            .unwrap();
            sessions[next].connection = Some(connection);
            answers[next].push(answer);
        }
    }
    for (session, state) in sessions.iter_mut().enumerate() {
        if let Some(running) = state.running.take() {
            let (connection, answer) = within("the last statement", running).await.unwrap();
            state.connection = Some(connection);
            answers[session].push(answer);
        }
        // A script may leave its transaction open, or broken.
        let connection = state.connection.as_mut().unwrap();
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut *connection)
            .await
            .unwrap();
        connection.ping().await.unwrap();
    }
    answers
}

/// A group at the end of the log.
async fn new_group(db: &TestDb) -> Group {
    let sql = "SELECT vulkan.create_group('orders', 'g', start_at => 'latest', max_attempts => 3)";
    let id = sqlx::query_scalar(sql).fetch_one(&db.pool).await.unwrap();
    Group {
        pool: db.pool.clone(),
        name: "g".into(),
        id,
    }
}

/// So that check() need not look at it again and again.
async fn forget(db: &TestDb, group: &Group) {
    for table in [
        "claims",
        "exceptions",
        "keys",
        "runs",
        "cancel_requests",
        "groups",
    ] {
        let sql = format!("DELETE FROM vulkan.{table} WHERE group_id = {}", group.id);
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&db.pool)
            .await
            .unwrap();
    }
}

#[test]
fn every_order_is_there_once() {
    let mut orders = every_order(&[2, 2, 2]);
    assert_eq!(orders.len(), 90);
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 90);
    assert_eq!(every_order(&[1, 1]), [[0, 1], [1, 0]]);
}
