//! Questions about the types of arguments, which a macro knows only as they are written.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::Type;

/// Whether the type has this name, under whatever path.
pub(super) fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(ty) => ty
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == name),
        _ => false,
    }
}

/// Whether a type of this name is anywhere in it.
pub(super) fn mentions(ty: &Type, name: &str) -> bool {
    any_pair(
        ty.to_token_stream(),
        &|token, _| matches!(token, TokenTree::Ident(ident) if ident == name),
    )
}

/// Whether there is an `impl Trait` anywhere, which makes the function generic.
pub(super) fn has_impl(ty: &Type) -> bool {
    any_pair(
        ty.to_token_stream(),
        &|token, _| matches!(token, TokenTree::Ident(ident) if ident == "impl"),
    )
}

/// Whether there is a lifetime other than `'static` anywhere.
pub(super) fn borrows(ty: &Type) -> bool {
    any_pair(ty.to_token_stream(), &|token, next| match (token, next) {
        (TokenTree::Punct(quote), Some(TokenTree::Ident(name))) => {
            quote.as_char() == '\'' && name != "static"
        }
        _ => false,
    })
}

/// Whether `is` holds for any token and the one after it, at any depth.
fn any_pair(tokens: TokenStream, is: &impl Fn(&TokenTree, Option<&TokenTree>) -> bool) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let inside = match &token {
            TokenTree::Group(group) => any_pair(group.stream(), is),
            _ => false,
        };
        if inside || is(&token, tokens.peek()) {
            return true;
        }
    }
    false
}
