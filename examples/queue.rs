//! A plain job queue: `cargo run --bin queue`.

use serde::{Deserialize, Serialize};
use vulkan::{Client, Queue, Shutdown};

#[derive(Serialize, Deserialize)]
struct Email {
    to: String,
}

static EMAILS: Queue<Email> = Queue::new("emails");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A private Postgres; in your program, the one you have: Client::connect("postgres://…").
    let database = vulkan_devpg::shared().await.create_database().await?;
    let client = Client::connect(&database.url()).await?;
    client.migrate().await?;
    let to = "ada@example.com".into();
    EMAILS.enqueue(&client, &Email { to }).await?;

    let shutdown = Shutdown::new();
    EMAILS
        .work_with(client, shutdown.clone(), send)
        .retries(5)
        .run(shutdown)
        .await?;
    Ok(())
}

async fn send(email: Email, shutdown: Shutdown) -> vulkan::Result {
    println!("to {}", email.to);
    shutdown.stop();
    Ok(())
}
