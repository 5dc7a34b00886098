use vulkan::handler;

#[handler(stream = "orders", group = "fraud")]
async fn number(_order: u64) -> u64 {
    1
}

#[handler(stream = "orders", group = "fraud")]
async fn value(_order: u64) -> vulkan::Result<u64> {
    Ok(1)
}

struct NoError;

#[handler(stream = "orders", group = "fraud")]
async fn error(_order: u64) -> Result<(), NoError> {
    Err(NoError)
}

fn main() {}
