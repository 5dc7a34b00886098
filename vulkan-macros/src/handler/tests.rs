use std::{env, fs};

use quote::quote;

/// The whole expansion of a handler, so that a change of it is seen in review.
///
/// `UPDATE_EXPANSION=1 cargo test -p vulkan-macros expansion` writes it anew.
#[test]
fn expansion() {
    let attribute = quote! {
        stream = "orders", group = "fraud", kinds = "order.placed", retries = 5,
        backoff = "2s..5m", timeout = "1m30s", lease = "30s", concurrency = 8, start = "latest"
    };
    let item = quote! {
        /// Looks for stolen cards.
        #[tracing::instrument]
        pub async fn screen(
            OrderPlaced { id, .. }: OrderPlaced,
            cx: &Delivery,
            State(db): State<PgPool>,
        ) -> vulkan::Result {
            body(id, cx, db).await
        }
    };
    let file = syn::parse2(super::derive(attribute, item)).expect("the expansion parses");
    let actual = prettyplease::unparse(&file);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/handler/tests.expanded.rs");
    if env::var_os("UPDATE_EXPANSION").is_some() {
        fs::write(path, &actual).expect("the file can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(actual == expected, "the expansion has changed to\n{actual}");
}

/// A mistake must never make the macro itself panic, whatever it is given.
#[test]
fn no_input_panics() {
    let attributes = [
        "",
        "stream",
        "=",
        ",,,",
        "stream = = ,",
        "kinds = [,]",
        "crate = crate::",
    ];
    let items = [
        "",
        "fn",
        "struct A;",
        "async fn f(self) {}",
        "async fn f(..) {}",
        "pub async fn f();",
    ];
    for attribute in attributes {
        for item in items {
            let tokens = (
                attribute.parse().expect("tokens"),
                item.parse().expect("tokens"),
            );
            assert!(!super::derive(tokens.0, tokens.1).is_empty());
        }
    }
}
