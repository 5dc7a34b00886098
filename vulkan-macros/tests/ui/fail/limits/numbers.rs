use vulkan::handler;

#[handler(stream = "orders", group = "fraud", max_in_flight = 0)]
async fn none_at_all(_order: u64) {}

#[handler(stream = "orders", group = "fraud", max_in_flight_per_prefix = "5")]
async fn text(_order: u64) {}

#[handler(stream = "orders", group = "fraud", rate = "5/s", burst = 0)]
async fn no_burst(_order: u64) {}

#[handler(stream = "orders", group = "fraud", burst = 10)]
async fn burst_of_nothing(_order: u64) {}

#[handler(stream = "orders", group = "fraud", prefix_delimiter = "")]
async fn undelimited(_order: u64) {}

fn main() {}
