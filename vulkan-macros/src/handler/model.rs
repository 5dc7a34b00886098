use proc_macro2::{Ident, Span, TokenStream};
use quote::format_ident;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Error, FnArg, Item, Pat, ReturnType, Signature, Type, Visibility};
use syn::{Meta, Result, Token, parse_quote, token};

use super::attr::Attr;

/// A function, of which only the signature has been parsed.
///
/// The body remains the tokens it was: nothing here looks into it,
/// and what is half written there can still be completed by an editor.
pub(super) struct Function {
    attrs: Vec<Attribute>,
    pub(super) vis: Visibility,
    pub(super) sig: Signature,
    pub(super) body: TokenStream,
}

/// A function and its attribute that have passed every check.
pub(super) struct Handler<'a> {
    pub(super) attr: &'a Attr,
    pub(super) function: &'a Function,
    pub(super) stream: &'a str,
    pub(super) group: &'a str,
    pub(super) payload: &'a Type,
    pub(super) arguments: Vec<Argument<'a>>,
}

/// An argument after the payload.
pub(super) enum Argument<'a> {
    /// A reference, of which the type it points to is kept.
    Delivery(&'a Type),
    /// A value of this type, made from the delivery and the state.
    Extracted(&'a Type),
}

impl Handler<'_> {
    /// Whether it takes several messages at once.
    pub(super) fn in_batches(&self) -> bool {
        self.attr.in_batches
    }
}

impl Function {
    pub(super) fn read(item: TokenStream) -> Result<Self> {
        Self::parse.parse2(item.clone()).map_err(|error| {
            // What is no function at all deserves a better message than "expected `fn`".
            match syn::parse2(item) {
                Err(_) | Ok(Item::Fn(_) | Item::Verbatim(_)) => error,
                Ok(_) => Error::new(error.span(), "`#[handler]` goes above an `async fn`"),
            }
        })
    }

    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        if !input.peek(token::Brace) {
            return Err(input.error("a handler has a body"));
        }
        let body = input.parse()?;
        Ok(Self {
            attrs,
            vis,
            sig,
            body,
        })
    }

    /// The name of the function, and of the type beside it.
    pub(super) fn ident(&self) -> &Ident {
        &self.sig.ident
    }

    /// The name of the type, at the same place but as if this macro had written it:
    /// a lint about its lower case would otherwise reach the user.
    pub(super) fn type_ident(&self) -> Ident {
        let mut ident = self.ident().clone();
        ident.set_span(ident.span().resolved_at(Span::call_site()));
        ident
    }

    pub(super) fn output(&self) -> Type {
        match &self.sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// Name and type of each argument, where a pattern is replaced by a name.
    pub(super) fn arguments(&self) -> Vec<(Ident, &Type)> {
        let typed = self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        let named = typed.enumerate().map(|(index, typed)| match &*typed.pat {
            // One named as the function would hide the function.
            Pat::Ident(pat) if pat.subpat.is_none() && pat.ident != *self.ident() => {
                (pat.ident.clone(), &*typed.ty)
            }
            _ => (format_ident!("__argument{index}"), &*typed.ty),
        });
        named.collect()
    }

    /// The attributes that say whether there is a function at all.
    pub(super) fn cfg_attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.attrs
            .iter()
            .any(|attr| attr.path().is_ident("deprecated"))
    }

    /// The attributes that speak to callers, and levels of lints, which reach inwards.
    pub(super) fn outer_attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| is_outer(&attr.meta))
    }

    /// The other attributes, such as `#[tracing::instrument]`, which want an `async fn`.
    pub(super) fn inner_attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| !is_outer(&attr.meta))
    }
}

fn is_outer(meta: &Meta) -> bool {
    const OUTER: [&str; 9] = [
        "allow",
        "cfg",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "forbid",
        "must_use",
        "warn",
    ];
    if OUTER.iter().any(|name| meta.path().is_ident(name)) {
        return true;
    }
    // `#[cfg_attr(predicate, attributes)]` goes where what it adds would go.
    let Meta::List(list) = meta else { return false };
    let inside = list.parse_args_with(|input: ParseStream<'_>| {
        let metas = input.call(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated)?;
        Ok(metas.iter().skip(1).all(is_outer))
    });
    list.path.is_ident("cfg_attr") && inside.unwrap_or(true)
}
