use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, parse_quote};

use super::attr::TypeAttr;

/// What stands in place of an event with mistakes, so that those who publish it hear of none.
pub(super) fn event(input: &DeriveInput, attr: &TypeAttr, error: Option<Error>) -> TokenStream {
    let errors = error.map(|error| error.to_compile_error());
    if let Data::Union(_) = input.data {
        // It does not serialize either, and would be told so.
        return quote!(#errors);
    }
    let (ident, vulkan) = (&input.ident, &attr.vulkan);
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        let clause = generics.make_where_clause();
        clause
            .predicates
            .push(parse_quote!(Self: #vulkan::__private::Serialize));
    }
    let (impl_generics, type_generics, clause) = generics.split_for_impl();
    quote! {
        #errors

        #[automatically_derived]
        impl #impl_generics #vulkan::__private::Event for #ident #type_generics #clause {
            const STREAM: &'static str = "";
            const KIND: &'static str = "";
        }
    }
}
