use vulkan::{State, handler};

use std::borrow::Cow;

#[handler(stream = "orders", group = "fraud")]
async fn payload(_order: Cow<'_, str>) {}

#[handler(stream = "orders", group = "fraud")]
async fn state(_order: u64, _name: State<Cow<'_, str>>) {}

fn main() {}
