use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Field, Meta, Path, parse_quote};
use vulkan_names::{Subject, check_kind, check_name};

use crate::ctxt::Ctxt;
use crate::entry::{Entries, Key};
use crate::value;

/// The keys of a type and of a field are one list,
/// so that one in the wrong place is told where it belongs.
const KEYS: &[Key] = &[
    Key::new("stream", r#""orders""#),
    Key::new("kind", r#""order.placed""#),
    Key::new("crate", "::vulkan"),
    Key::new("key", ""),
];

/// What stands on the type. What is wrong or absent is `None`.
pub(super) struct TypeAttr {
    pub(super) stream: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) vulkan: Path,
}

impl TypeAttr {
    pub(super) fn read(cx: &Ctxt, input: &DeriveInput) -> Self {
        let entries = read_entries(cx, &input.attrs);
        entries.require(cx, "event", KEYS, &["stream", "kind"]);
        let mut attr = Self {
            stream: None,
            kind: None,
            vulkan: parse_quote!(::vulkan),
        };
        for entry in &entries.list {
            match entry.key.name {
                "stream" => {
                    attr.stream = value::text(cx, entry, |text| {
                        check_name(Subject::Stream, text).map(|()| text.to_owned())
                    });
                }
                "kind" => {
                    attr.kind =
                        value::text(cx, entry, |text| check_kind(text).map(|()| text.to_owned()));
                }
                "crate" => attr.vulkan = value::path(cx, entry).unwrap_or(attr.vulkan),
                key => cx.error(&entry.ident, format!("`{key}` goes on a field")),
            }
        }
        attr
    }
}

/// A field with `#[event(key)]`.
pub(super) struct FieldAttr<'a> {
    pub(super) field: &'a Field,
    /// The position of the field, which names it in a tuple struct.
    pub(super) index: usize,
    /// The `key` to underline.
    pub(super) span: Span,
}

impl<'a> FieldAttr<'a> {
    pub(super) fn read_all(cx: &Ctxt, input: &'a DeriveInput) -> Vec<Self> {
        let mut keys = Vec::new();
        for (index, field) in fields(&input.data) {
            for entry in read_entries(cx, &field.attrs).list {
                if entry.key.name != "key" {
                    let message = format!("`{}` goes on the type", entry.key.name);
                    cx.error(&entry.ident, message);
                } else if entry.value.is_some() {
                    cx.error(entry.value_or_key(), "`key` takes no value");
                } else {
                    let span = entry.ident.span();
                    keys.push(Self { field, index, span });
                }
            }
        }
        keys
    }
}

fn fields(data: &Data) -> Vec<(usize, &Field)> {
    match data {
        Data::Struct(data) => data.fields.iter().enumerate().collect(),
        Data::Enum(data) => {
            let fields = data.variants.iter().map(|variant| &variant.fields);
            fields
                .flat_map(|fields| fields.iter().enumerate())
                .collect()
        }
        Data::Union(data) => data.fields.named.iter().enumerate().collect(),
    }
}

/// The entries of all `#[event(..)]` among `attrs`, as if they were one.
fn read_entries(cx: &Ctxt, attrs: &[Attribute]) -> Entries {
    let mut tokens = TokenStream::new();
    let mut garbled = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("event")) {
        match &attr.meta {
            Meta::List(list) => {
                tokens.extend(list.tokens.clone());
                tokens.extend(quote::quote!(,));
            }
            meta => {
                garbled = true;
                let example = "#[event(stream = \"orders\", kind = \"order.placed\")]";
                let message = format!("expected parentheses, as in `{example}`");
                cx.error_at(meta.span(), message);
            }
        }
    }
    let mut entries = Entries::read(cx, KEYS, tokens);
    if garbled {
        entries.set_garbled();
    }
    entries
}
