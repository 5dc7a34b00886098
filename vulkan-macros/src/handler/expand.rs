use std::time::Duration;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Path;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use vulkan_names::Start;

use super::model::{Argument, Function, Handler};

pub(super) fn handler(handler: &Handler<'_>) -> TokenStream {
    [
        function(handler),
        marker(handler.function),
        implementation(handler),
    ]
    .into_iter()
    .collect()
}

/// The function as it was, inside one of the same name that marks its future.
fn function(handler: &Handler<'_>) -> TokenStream {
    let (vulkan, function) = (&handler.attr.vulkan, handler.function);
    let (vis, sig, body) = (&function.vis, &function.sig, &function.body);
    let (ident, marker, output) = (function.ident(), function.type_ident(), function.output());
    let (outer, inner) = (function.outer_attrs(), function.inner_attrs());
    let (names, types): (Vec<_>, Vec<_>) = function.arguments().into_iter().unzip();
    let registered = match handler.in_batches() {
        false => quote!(#marker),
        true => quote!(#vulkan::__private::InBatches<#marker>),
    };
    // The return type captures every lifetime, in whatever edition this is used:
    // the edition that counts is that of the crate that wrote the `impl`, which is this one.
    quote! {
        #(#outer)*
        #[allow(clippy::too_many_arguments)]
        #vis fn #ident(#(#names: #types),*) -> #vulkan::__private::Call<
            impl ::core::future::Future<Output = #output>,
            #registered,
        > {
            #(#inner)*
            #[allow(clippy::unused_async)]
            #sig #body
            #vulkan::__private::Call::new(#ident(#(#names),*))
        }
    }
}

/// The type beside the function. It has braces, and so no name among the values.
pub(super) fn marker(function: &Function) -> TokenStream {
    let (vis, marker, cfg) = (&function.vis, function.type_ident(), function.cfg_attrs());
    quote! {
        #(#cfg)*
        #[doc(hidden)]
        #[derive(::core::default::Default)]
        #vis struct #marker {}
    }
}

fn implementation(handler: &Handler<'_>) -> TokenStream {
    let function = handler.function;
    let (vulkan, cfg) = (&handler.attr.vulkan, function.cfg_attrs());
    let (marker, options) = (function.type_ident(), options(handler));
    let (handles, extracts) = match handler.in_batches() {
        false => (quote!(Handler), quote!(FromDelivery)),
        true => (quote!(BatchHandler), quote!(FromBatch)),
    };
    // Each bound stands where the type does, for that is where it is found to be broken.
    let bounds = handler
        .arguments
        .iter()
        .filter_map(|argument| match argument {
            Argument::Extracted(ty) => {
                let span = ty.span().resolved_at(Span::call_site());
                let vulkan = located(vulkan, span);
                Some(quote_spanned!(span=> #ty: #vulkan::__private::#extracts<__S>))
            }
            Argument::Delivery(_) => None,
        });
    // Only those who call it by name should hear that it is deprecated.
    let deprecated = function
        .is_deprecated()
        .then(|| quote!(#[allow(deprecated)]));
    let call = call(handler);
    quote! {
        #(#cfg)*
        #deprecated
        #[automatically_derived]
        impl<__S> #vulkan::__private::#handles<__S> for #marker
        where
            __S: ::core::marker::Sync,
            #(#bounds,)*
        {
            fn options(&self) -> #vulkan::__private::HandlerOptions {
                #options
            }

            #call
        }
    }
}

/// Makes the arguments and calls the function.
///
/// Each type is written with the tokens of the user,
/// so that the compiler complains there if it does not fit.
fn call(handler: &Handler<'_>) -> TokenStream {
    let function = handler.function;
    // A future that cannot be sent is reported at the name of the function.
    let span = function.type_ident().span();
    let vulkan = located(&handler.attr.vulkan, span);
    let (ident, payload, output) = (function.ident(), handler.payload, function.output());
    let names: Vec<Ident> = (0..handler.arguments.len())
        .map(|index| format_ident!("__argument{index}"))
        .collect();
    let arguments = handler.arguments.iter().map(|argument| match argument {
        Argument::Delivery(ty) => quote! {
            <#ty as #vulkan::__private::DeliveryArgument>::of(__delivery)
        },
        Argument::Extracted(ty) => quote! {
            <#ty as #vulkan::__private::FromDelivery<__S>>::from_delivery(__delivery, __state)
                .await?
        },
    });
    if handler.in_batches() {
        return call_batch(handler, &names);
    }
    quote_spanned! {span=>
        // A delivery can hold a transaction; strict lints would have it dropped early, which the worker does.
        #[allow(clippy::significant_drop_tightening)]
        async fn call(
            &self,
            __delivery: &#vulkan::__private::Delivery,
            __state: &__S,
        ) -> #vulkan::__private::Result {
            let __payload = #vulkan::__private::decode::<#payload>(__delivery)?;
            #(let #names = #arguments;)*
            let __output = #ident(__payload, #(#names),*).await;
            <#output as #vulkan::__private::IntoResult>::into_result(__output)
        }
    }
}

/// The same for several messages at once.
fn call_batch(handler: &Handler<'_>, names: &[Ident]) -> TokenStream {
    let function = handler.function;
    let span = function.type_ident().span();
    let vulkan = located(&handler.attr.vulkan, span);
    let (ident, payload, output) = (function.ident(), handler.payload, function.output());
    let arguments = handler.arguments.iter().map(|argument| match argument {
        Argument::Extracted(ty) | Argument::Delivery(ty) => quote! {
            <#ty as #vulkan::__private::FromBatch<__S>>::from_batch(__batch, __state).await?
        },
    });
    quote_spanned! {span=>
        // A delivery can hold a transaction; strict lints would have it dropped early, which the worker does.
        #[allow(clippy::significant_drop_tightening)]
        async fn call(
            &self,
            __batch: &#vulkan::__private::Batch,
            __state: &__S,
        ) -> #vulkan::__private::Result {
            let ::core::option::Option::Some(__payload) =
                <#payload as #vulkan::__private::BatchPayload>::take(__batch)
            else {
                return ::core::result::Result::Ok(());
            };
            #(let #names = #arguments;)*
            let __output = #ident(__payload, #(#names),*).await;
            <#output as #vulkan::__private::IntoResult>::into_result(__output)
        }
    }
}

fn options(handler: &Handler<'_>) -> TokenStream {
    let Handler {
        attr,
        stream,
        group,
        function,
        ..
    } = handler;
    let vulkan = &attr.vulkan;
    let name = match &attr.name {
        Some(name) => name.clone(),
        None => function.ident().unraw().to_string(),
    };
    let mut options = quote! {
        #vulkan::__private::HandlerOptions::new(#stream, #group).name(#name)
    };
    if let Some(kinds) = &attr.kinds {
        options.extend(quote!(.kinds([#(#kinds),*])));
    }
    if let Some(retries) = attr.retries {
        options.extend(quote!(.retries(#retries)));
    }
    if let Some(backoff) = attr.backoff {
        let (initial, max) = (duration(backoff.initial), duration(backoff.max));
        options.extend(quote!(.backoff(#vulkan::__private::Backoff::new(#initial, #max))));
    }
    if let Some(timeout) = attr.timeout.map(duration) {
        options.extend(quote!(.timeout(#timeout)));
    }
    if let Some(lease) = attr.lease.map(duration) {
        options.extend(quote!(.lease(#lease)));
    }
    if let Some(concurrency) = attr.concurrency {
        let concurrency = Literal::u32_unsuffixed(concurrency);
        options.extend(quote!(.concurrency(#concurrency)));
    }
    if let Some(batch) = attr.batch {
        let batch = Literal::u32_unsuffixed(batch);
        options.extend(quote!(.batch(#batch)));
    }
    if let Some(priority) = attr.priority {
        options.extend(quote!(.priority(#priority)));
    }
    if let Some(weight) = attr.weight {
        options.extend(quote!(.weight(#weight)));
    }
    for (method, limit) in [
        ("max_in_flight", attr.max_in_flight),
        ("max_in_flight_per_prefix", attr.max_in_flight_per_prefix),
        ("burst", attr.burst),
    ] {
        if let Some(limit) = limit {
            let (method, limit) = (format_ident!("{method}"), Literal::u32_unsuffixed(limit));
            options.extend(quote!(.#method(#limit)));
        }
    }
    if let Some(delimiter) = &attr.prefix_delimiter {
        options.extend(quote!(.prefix_delimiter(#delimiter)));
    }
    if let Some(rate) = attr.rate {
        let (attempts, per) = (rate.attempts, duration(rate.per));
        options.extend(quote!(.rate(#vulkan::__private::Rate::new(#attempts, #per))));
    }
    if let Some(breaker) = attr.breaker {
        let (percent, attempts, probes) = (
            breaker.failure_percent,
            breaker.min_attempts,
            breaker.probes,
        );
        let [window, pause, max_pause] =
            [breaker.window, breaker.pause, breaker.max_pause].map(duration);
        options.extend(quote!(.breaker(#vulkan::__private::Breaker {
            failure_percent: #percent,
            min_attempts: #attempts,
            window: #window,
            pause: #pause,
            max_pause: #max_pause,
            probes: #probes,
        })));
    }
    if let Some(start) = attr.start {
        let start = match start {
            Start::Earliest => quote!(Earliest),
            Start::Latest => quote!(Latest),
        };
        options.extend(quote!(.start(#vulkan::__private::Start::#start)));
    }
    options
}

/// The path as if it had been written at `span`.
fn located(path: &Path, span: Span) -> TokenStream {
    let tokens = path.to_token_stream().into_iter();
    let tokens = tokens.map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    tokens.collect()
}

fn duration(duration: Duration) -> TokenStream {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#secs, #nanos))
}
