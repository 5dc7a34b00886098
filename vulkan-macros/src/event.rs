//! `#[derive(Event)]`.

mod attr;
mod check;
mod expand;
mod fallback;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use self::attr::{FieldAttr, TypeAttr};
use crate::ctxt::Ctxt;

pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let cx = Ctxt::new();
    let attr = TypeAttr::read(&cx, &input);
    let fields = FieldAttr::read_all(&cx, &input);
    let event = check::event(&cx, &input, &attr, &fields);
    match (cx.check(), event) {
        (Ok(()), Some(event)) => expand::event(&event),
        (checked, _) => fallback::event(&input, &attr, checked.err()),
    }
}
