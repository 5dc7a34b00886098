use syn::spanned::Spanned;
use syn::{FnArg, Safety, Signature, Type, TypeReference};

use super::attr::Attr;
use super::model::{Argument, Function, Handler};
use super::types::{borrows, has_impl, is_named, mentions};
use crate::ctxt::Ctxt;

pub(super) const MAX_ARGUMENTS: usize = 8;

/// Checks every rule, and makes the model if none is broken badly enough to prevent that.
pub(super) fn handler<'a>(
    cx: &Ctxt,
    attr: &'a Attr,
    function: &'a Function,
) -> Option<Handler<'a>> {
    modifiers(cx, &function.sig);
    receiver(cx, &function.sig);
    let (payload, arguments) = arguments(cx, attr, function)?;
    Some(Handler {
        attr,
        function,
        stream: attr.stream.as_deref()?,
        group: attr.group.as_deref()?,
        payload,
        arguments,
    })
}

fn modifiers(cx: &Ctxt, sig: &Signature) {
    if let Some(constness) = sig.constness {
        cx.error(constness, "a handler cannot be `const`");
    }
    if let Safety::Unsafe(unsafety) = sig.safety {
        cx.error(
            unsafety,
            "a handler cannot be `unsafe`: the worker calls it",
        );
    }
    if let Some(abi) = &sig.abi {
        cx.error(abi, "a handler cannot be `extern`: the worker calls it");
    }
    if let Some(variadic) = &sig.variadic {
        cx.error(variadic, "a handler cannot be variadic");
    }
    if sig.asyncness.is_none() {
        cx.error(sig.fn_token, "a handler is an `async fn`");
    }
    if !sig.generics.params.is_empty() {
        let only_lifetimes = sig.generics.lifetimes().count() == sig.generics.params.len();
        let message = if only_lifetimes {
            "a handler names no lifetimes: `&Delivery` needs none, and all else is owned"
        } else {
            "a handler cannot be generic: the worker would not know which one to call"
        };
        cx.error(&sig.generics, message);
    } else if let Some(clause) = &sig.generics.where_clause {
        cx.error(clause, "a handler cannot be generic and needs no `where`");
    }
}

fn receiver(cx: &Ctxt, sig: &Signature) {
    if let Some(receiver) = sig.receiver() {
        let message = "a handler is a free function: \
                       take what it needs as `State<T>` instead of `self`";
        cx.error(receiver, message);
    }
}

fn arguments<'a>(
    cx: &Ctxt,
    attr: &Attr,
    function: &'a Function,
) -> Option<(&'a Type, Vec<Argument<'a>>)> {
    let sig = &function.sig;
    let mut types = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    });
    let Some(payload) = types.next() else {
        if sig.receiver().is_none() {
            let message = match attr.in_batches {
                false => "a handler takes its payload as the first argument",
                true => {
                    "a batch handler takes its messages as the first argument: `Vec<Received<T>>`"
                }
            };
            cx.error_at(sig.paren_token.span.join(), message);
        }
        return None;
    };
    if sig.inputs.len() > MAX_ARGUMENTS {
        let count = sig.inputs.len();
        let message = format!("a handler takes up to {MAX_ARGUMENTS} arguments, this has {count}");
        cx.error_at(sig.inputs[MAX_ARGUMENTS].span(), message);
    }
    if attr.in_batches {
        check_batch(cx, payload);
    } else {
        check_payload(cx, payload);
    }
    let arguments: Vec<_> = types.map(|ty| argument(cx, attr, ty)).collect();
    let transactions = arguments.iter().filter_map(|argument| match argument {
        Argument::Extracted(ty) if is_named(ty, "Tx") => Some(ty),
        _ => None,
    });
    for second in transactions.skip(1) {
        cx.error(second, "a handler has one transaction: take one `Tx`");
    }
    Some((payload, arguments))
}

fn check_batch(cx: &Ctxt, payload: &Type) {
    if matches!(payload, Type::Reference(_)) {
        let message = "the messages are taken by value: `Vec<Received<T>>`";
        cx.error(payload, message);
    } else {
        owned(cx, payload);
    }
}

fn check_payload(cx: &Ctxt, payload: &Type) {
    let Type::Reference(TypeReference { elem, .. }) = payload else {
        if is_named(payload, "Vec") && mentions(payload, "Received") {
            let message = "a handler that takes several messages at once says how many at most: \
                           add `batch = 100`";
            cx.error(payload, message);
        }
        return owned(cx, payload);
    };
    if is_named(elem, "Delivery") {
        cx.error(payload, "the payload comes first, and `&Delivery` after it");
    } else {
        let message = "the payload is taken by value: leave out the `&`";
        cx.error(payload, message);
    }
}

fn argument<'a>(cx: &Ctxt, attr: &Attr, ty: &'a Type) -> Argument<'a> {
    let Type::Reference(reference) = ty else {
        owned(cx, ty);
        return Argument::Extracted(ty);
    };
    if attr.in_batches {
        let message = "a batch handler takes no reference: each message has a delivery of its own, \
                       found by `Received::delivery`";
        cx.error(ty, message);
        return Argument::Delivery(&reference.elem);
    }
    if reference.mutability.is_some() {
        cx.error(
            ty,
            "a handler takes `&Delivery` by shared reference, and no other reference",
        );
    }
    if matches!(&reference.lifetime, Some(lifetime) if lifetime.ident == "static") {
        cx.error(ty, "a delivery does not live that long: write `&Delivery`");
    }
    Argument::Delivery(&reference.elem)
}

/// What the worker makes before the call borrows from nothing, and has one type.
fn owned(cx: &Ctxt, ty: &Type) {
    if has_impl(ty) {
        cx.error(ty, "a handler cannot be generic: name the type");
    } else if borrows(ty) {
        cx.error(
            ty,
            "an argument taken by value borrows from nothing: use an owned type",
        );
    }
}
