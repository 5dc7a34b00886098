//! `#[handler(..)]`.

mod attr;
mod check;
mod expand;
mod fallback;
mod model;
mod types;

use proc_macro2::TokenStream;

use self::attr::Attr;
use self::model::Function;
use crate::ctxt::Ctxt;

pub(crate) fn derive(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let cx = Ctxt::new();
    let attr = Attr::read(&cx, attribute);
    let function = match Function::read(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            cx.push(error);
            let errors = cx.check().err().map(|error| error.to_compile_error());
            return [errors.unwrap_or_default(), item].into_iter().collect();
        }
    };
    let handler = check::handler(&cx, &attr, &function);
    match (cx.check(), handler) {
        (Ok(()), Some(handler)) => expand::handler(&handler),
        (checked, _) => fallback::handler(&attr, &function, checked.err()),
    }
}

#[cfg(test)]
mod tests;
