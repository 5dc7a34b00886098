use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgPool};
use vulkan::Client;

use crate::support::{TestDb, within};

/// A pool of the test's database, with so many connections that are open and idle.
async fn pool(db: &TestDb, most: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(most);
    let pool = options
        .connect_with((*db.pool.connect_options()).clone())
        .await
        .unwrap();
    let mut open = Vec::new();
    for _ in 0..most {
        open.push(pool.acquire().await.unwrap());
    }
    drop(open);
    until_idle(&pool).await;
    pool
}

async fn until_idle(pool: &PgPool) {
    within("all connections to be back", async {
        while pool.num_idle() < pool.size() as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn calls_in_a_row_go_to_one_process_of_the_server() {
    let db = TestDb::new().await;
    let pool = pool(&db, 4).await;
    let client = Client::new(pool.clone());
    for _ in 0..20 {
        client.look(&[1]).await.unwrap();
    }
    let asked: i64 = db
        .value(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE '%vulkan.look(%' AND pid <> pg_backend_pid()",
        )
        .await;
    assert_eq!(asked, 1);
    // And it goes back, for whatever the pool does with those that are idle.
    until_idle(&pool).await;
    within("the pool to close", pool.close()).await;
}

#[tokio::test]
async fn the_only_connection_of_a_pool_is_not_kept() {
    let db = TestDb::new().await;
    let pool = pool(&db, 1).await;
    let client = Client::new(pool.clone());
    // Were it kept, each would wait for a tenth of a second.
    within("four hundred connections", async {
        for _ in 0..400 {
            client.look(&[1]).await.unwrap();
            pool.acquire().await.unwrap();
        }
    })
    .await;
}

#[test]
fn a_client_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(async {
        let db = TestDb::new().await;
        let client = Client::new(pool(&db, 4).await);
        client.look(&[1]).await.unwrap();
        client
    });
    drop(runtime);
    drop(client);
}

/// A call that nobody waits for any more must not be carried out when a lock that it waits for is let go, perhaps much later.
#[tokio::test]
async fn a_call_whose_client_is_gone_is_given_up_by_the_server() {
    let db = TestDb::new().await;
    let mut holder = db.connect().await;
    let mut holder = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE vulkan.groups IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let client = Client::connect(&db.url()).await.unwrap();
    let mut connection = client.pool().acquire().await.unwrap().detach();
    let call = tokio::spawn(async move {
        sqlx::query("SELECT vulkan.claim(1, 'w', 1)")
            .execute(&mut connection)
            .await
    });
    db.until_blocked().await;
    // Its socket is closed without a word.
    call.abort();
    within("the server to give up", async {
        while db
            .value::<bool>("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
            .await
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    holder.rollback().await.unwrap();
}
