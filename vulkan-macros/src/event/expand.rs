use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Index, Member, parse_quote};

use super::attr::FieldAttr;
use super::check::Event;

pub(super) fn event(event: &Event<'_>) -> TokenStream {
    let Event { stream, kind, .. } = event;
    let (ident, vulkan) = (&event.input.ident, &event.attr.vulkan);
    let mut generics = event.input.generics.clone();
    if generics.type_params().next().is_some() {
        // Whether a generic type serializes depends on its parameters,
        // for each of which `Self: Serialize` speaks.
        let clause = generics.make_where_clause();
        clause
            .predicates
            .push(parse_quote!(Self: #vulkan::__private::Serialize));
        if let Some(FieldAttr { field, .. }) = event.key {
            let ty = &field.ty;
            clause
                .predicates
                .push(parse_quote!(#ty: #vulkan::__private::PartitionKey));
        }
    }
    let (impl_generics, type_generics, clause) = generics.split_for_impl();
    let partition_key = event.key.map(|key| partition_key(event, key));
    quote! {
        #[automatically_derived]
        impl #impl_generics #vulkan::__private::Event for #ident #type_generics #clause {
            const STREAM: &'static str = #stream;
            const KIND: &'static str = #kind;

            #partition_key
        }
    }
}

fn partition_key(event: &Event<'_>, key: &FieldAttr<'_>) -> TokenStream {
    let (vulkan, ty) = (&event.attr.vulkan, &key.field.ty);
    let member = match &key.field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(key.index)),
    };
    let member = member.to_token_stream();
    // The type has the tokens of the user, where the compiler complains if it cannot be a key.
    quote! {
        fn partition_key(&self) -> ::core::option::Option<#vulkan::__private::Cow<'_, str>> {
            <#ty as #vulkan::__private::PartitionKey>::partition_key(&self.#member)
        }
    }
}
