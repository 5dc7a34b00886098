use syn::{Data, DeriveInput};

use super::attr::{FieldAttr, TypeAttr};
use crate::ctxt::Ctxt;

/// A type and its attributes that have passed every check.
pub(super) struct Event<'a> {
    pub(super) input: &'a DeriveInput,
    pub(super) attr: &'a TypeAttr,
    pub(super) stream: &'a str,
    pub(super) kind: &'a str,
    pub(super) key: Option<&'a FieldAttr<'a>>,
}

pub(super) fn event<'a>(
    cx: &Ctxt,
    input: &'a DeriveInput,
    attr: &'a TypeAttr,
    keys: &'a [FieldAttr<'a>],
) -> Option<Event<'a>> {
    match &input.data {
        Data::Struct(_) => {
            for key in keys.iter().skip(1) {
                cx.error_at(key.span, "an event has one key, and this would be another");
            }
        }
        Data::Enum(_) => {
            for key in keys {
                let message = "an enum has no key: implement `Event` by hand, \
                               or derive it for a struct that holds the enum";
                cx.error_at(key.span, message);
            }
        }
        Data::Union(data) => cx.error(data.union_token, "a union cannot be an event"),
    }
    Some(Event {
        input,
        attr,
        stream: attr.stream.as_deref()?,
        kind: attr.kind.as_deref()?,
        key: keys.first(),
    })
}
