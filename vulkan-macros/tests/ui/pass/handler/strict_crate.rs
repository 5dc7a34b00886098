//! A crate as strict as a crate can sensibly be.

#![deny(warnings, missing_docs, unused, unreachable_pub, rust_2018_idioms)]
#![deny(
    missing_debug_implementations,
    missing_copy_implementations,
    unused_qualifications
)]
#![forbid(unsafe_code, non_camel_case_types)]

pub mod jobs {
    //! Handlers.

    use vulkan::{Delivery, handler};

    /// Documented.
    #[handler(stream = "orders", group = "fraud")]
    pub async fn screen(_order: u64, _cx: &Delivery) {}
}

fn main() {
    // One name brings the function and the type.
    use jobs::screen;
    let _handler = screen {};
    let _function = screen;
}
