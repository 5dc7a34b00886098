use std::os::unix::fs::MetadataExt;

use sqlx::query_scalar;
use vulkan_devpg::{FAST, Postgres, shared};

use crate::support::{connect, processes_of};

async fn setting(postgres: &Postgres, name: &str) -> String {
    let value = query_scalar("select current_setting($1)").bind(name);
    let mut connection = connect(&postgres.url()).await;
    value.fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_private_cluster_answers_on_its_socket_alone() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    assert!(postgres.is_private());
    let mut connection = connect(&postgres.url()).await;
    let one: i32 = query_scalar("select 1")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(one, 1);
    assert_eq!(setting(&postgres, "listen_addresses").await, "");
}

#[tokio::test]
async fn it_is_durable_unless_asked_not_to_be() {
    let durable = Postgres::start_private(&[("work_mem", "5MB")])
        .await
        .unwrap();
    assert_eq!(setting(&durable, "fsync").await, "on");
    assert_eq!(setting(&durable, "work_mem").await, "5MB");
    let fast = Postgres::start_private(FAST).await.unwrap();
    assert_eq!(setting(&fast, "fsync").await, "off");
}

#[tokio::test]
async fn two_clusters_run_at_once() {
    let (one, other) = tokio::join!(Postgres::start_private(FAST), Postgres::start_private(FAST));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.url(), other.url());
    let directory = setting(&one, "data_directory").await;
    assert_ne!(directory, setting(&other, "data_directory").await);
}

#[tokio::test]
async fn stop_waits_until_all_is_gone() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let directory = postgres.directory().unwrap().to_owned();
    let _still_open = connect(&postgres.url()).await;
    assert!(!processes_of(&directory).is_empty());
    postgres.stop().await.unwrap();
    assert!(!directory.exists());
    assert_eq!(processes_of(&directory), [""; 0]);
}

#[tokio::test]
async fn the_server_is_never_root() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let written_by_server = postgres.directory().unwrap().join("data/postmaster.pid");
    assert_ne!(written_by_server.metadata().unwrap().uid(), 0);
}

#[tokio::test]
async fn the_url_is_good_for_other_clients() {
    let postgres = Postgres::start_private(FAST).await.unwrap();
    let psql = postgres.bin_dir().unwrap().join("psql");
    if !psql.exists() {
        return;
    }
    let output = tokio::process::Command::new(psql)
        .args([
            "-X",
            "-A",
            "-t",
            "-c",
            "select current_user",
            &postgres.url(),
        ])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "postgres\n");
}

#[tokio::test]
async fn shared_is_one_and_the_same() {
    let (one, other) = tokio::join!(shared(), shared());
    assert!(std::ptr::eq(one, other));
    assert_eq!(setting(one, "max_connections").await, "300");
}
