use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, FnArg, Safety, Signature, Type, parse_quote};

use super::attr::Attr;
use super::check::MAX_ARGUMENTS;
use super::expand;
use super::model::Function;
use super::types::has_impl;

/// What stands in place of a handler with mistakes.
///
/// It can be called, awaited and registered as the handler could,
/// so that nobody else hears of the mistakes, and it keeps the body,
/// so that what is wrong there is reported too and an editor goes on to understand it.
pub(super) fn handler(attr: &Attr, function: &Function, error: Option<Error>) -> TokenStream {
    let errors = error.map(|error| error.to_compile_error());
    if function.sig.receiver().is_some() {
        // It stands in an `impl` block, where there is no room for a type.
        let (vis, sig, body) = (&function.vis, &function.sig, &function.body);
        return quote!(#errors #vis #sig #body);
    }
    let (vis, vulkan) = (&function.vis, &attr.vulkan);
    let (ident, marker_ident) = (function.ident(), function.type_ident());
    let outer = function.outer_attrs();
    let cfg = function.cfg_attrs();
    let output = function.output();
    let (names, types): (Vec<_>, Vec<_>) = arguments(function).into_iter().unzip();
    let original = original(function);
    let marker = expand::marker(function);
    quote! {
        #errors

        #(#outer)*
        #[allow(unused, clippy::all)]
        #vis fn #ident(#(#names: #types),*) -> #vulkan::__private::Call<
            ::core::future::Ready<#output>,
            #marker_ident,
        > {
            #original
            ::core::unreachable!()
        }

        #marker

        #(#cfg)*
        #[automatically_derived]
        impl<__S> #vulkan::__private::Handler<__S> for #marker_ident
        where
            __S: ::core::marker::Sync,
        {
            fn options(&self) -> #vulkan::__private::HandlerOptions {
                ::core::unreachable!()
            }

            async fn call(
                &self,
                _: &#vulkan::__private::Delivery,
                _: &__S,
            ) -> #vulkan::__private::Result {
                ::core::unreachable!()
            }
        }
    }
}

/// Arguments that can be registered: of types without parameters, one to eight of them.
fn arguments(function: &Function) -> Vec<(Ident, Type)> {
    let arguments = function.arguments();
    let is_generic = !function.sig.generics.params.is_empty();
    if arguments.is_empty() || is_generic || arguments.iter().any(|(_, ty)| has_impl(ty)) {
        return vec![(format_ident!("__payload"), parse_quote!(()))];
    }
    let arguments = arguments.into_iter().take(MAX_ARGUMENTS);
    arguments.map(|(name, ty)| (name, ty.clone())).collect()
}

/// The function without what the compiler would complain of in its own words.
fn original(function: &Function) -> TokenStream {
    let (attrs, body) = (function.inner_attrs(), &function.body);
    let sig = Signature {
        constness: None,
        asyncness: Some(syn::token::Async::default()),
        safety: Safety::Default,
        abi: None,
        variadic: None,
        inputs: {
            let inputs = function.sig.inputs.iter();
            inputs
                .filter(|input| matches!(input, FnArg::Typed(_)))
                .cloned()
                .collect()
        },
        ..function.sig.clone()
    };
    quote!(#(#attrs)* #sig #body)
}
