//! Attributes and visibility of the function, and the lints of those who use the macro.

use vulkan::{Handler, handler};

mod strict {
    //! A module as strict as a module can sensibly be.
    #![deny(warnings, missing_docs, unused, unreachable_pub, rust_2018_idioms)]
    #![deny(missing_debug_implementations, missing_copy_implementations)]
    #![deny(clippy::all, clippy::pedantic, clippy::nursery)]
    #![forbid(unsafe_code, non_camel_case_types)]

    use vulkan::{Delivery, State, handler};

    /// Documented.
    #[handler(stream = "orders", group = "strict")]
    pub(super) async fn strict(order: u64, cx: &Delivery, name: State<String>) -> vulkan::Result {
        drop((order, cx.attempt(), name));
        Ok(())
    }

    /// Does not await anything.
    #[handler(stream = "orders", group = "idle")]
    pub(crate) async fn idle(_: u64) {}
}

/// Absent, with everything that belongs to it.
#[handler(stream = "orders", group = "absent")]
#[cfg(any())]
async fn absent(_order: Nonexistent) {}

#[handler(stream = "orders", group = "levels")]
#[allow(unused_variables)]
#[expect(unused_mut)]
#[cfg_attr(all(), doc = "Documented.")]
async fn levels(order: u64) {
    let mut unused = 0;
}

#[handler(stream = "orders", group = "old")]
#[deprecated = "use `strict`"]
#[allow(deprecated)]
async fn old(_order: u64) {}

#[test]
fn names_live_apart() {
    fn name(handler: &impl Handler<String>) -> String {
        handler.options().name.into_owned()
    }
    assert_eq!(name(&strict::strict {}), "strict");
    assert_eq!(name(&strict::idle {}), "idle");
    assert_eq!(name(&levels {}), "levels");
    assert_eq!(name(&old {}), "old");
    let _future = levels(1);
}

#[test]
fn a_handler_may_be_local() {
    #[handler(stream = "orders", group = "local")]
    async fn local(_order: u64) {}

    assert_eq!(Handler::<()>::options(&local {}).group, "local");
    let _future = local(1);
}

#[test]
fn a_handler_may_come_from_a_macro() {
    macro_rules! define {
        ($name:ident, $stream:literal, $payload:ty) => {
            #[handler(stream = $stream, group = "generated")]
            async fn $name(_payload: $payload) {}
        };
    }
    define!(first, "orders", u64);
    define!(second, "users", Vec<String>);
    assert_eq!(Handler::<()>::options(&first {}).stream, "orders");
    assert_eq!(Handler::<()>::options(&second {}).stream, "users");
    let _futures = (first(1), second(Vec::new()));
}
