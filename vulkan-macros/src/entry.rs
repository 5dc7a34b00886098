use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;

pub(crate) use vulkan_names::Key;

use crate::ctxt::Ctxt;

/// One `key = value` of an attribute, or a `key` alone.
pub(crate) struct Entry {
    pub(crate) ident: Ident,
    pub(crate) key: &'static Key,
    /// What stands behind the `=`, unless there is no `=`.
    pub(crate) value: Option<TokenStream>,
}

impl Entry {
    /// What to underline when the value is wrong.
    pub(crate) fn value_or_key(&self) -> TokenStream {
        match &self.value {
            Some(value) if !value.is_empty() => value.clone(),
            _ => self.ident.to_token_stream(),
        }
    }

    /// How the entry should look: `retries = 5`.
    pub(crate) fn example(&self) -> String {
        match self.key {
            Key { name, example: "" } => (*name).to_owned(),
            Key { name, example } => format!("{name} = {example}"),
        }
    }
}

/// The entries of an attribute, and what is known of those that could not be read.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<Entry>,
    /// Keys that were meant, by a form that is wrong or a name that is nearly right.
    meant: Vec<&'static str>,
    /// Whether something was written of which nobody knows what was meant.
    garbled: bool,
}

impl Entries {
    /// Reads what stands between the parentheses of an attribute.
    ///
    /// Entries are cut at the commas before any of them is looked at,
    /// so a mistake in one does not hide those in the next.
    pub(crate) fn read(cx: &Ctxt, keys: &'static [Key], tokens: TokenStream) -> Self {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut entries = Self::default();
        for part in tokens.split(is_comma).filter(|part| !part.is_empty()) {
            let Some(entry) = entries.read_one(cx, keys, part) else {
                continue;
            };
            if entries.has(entry.key.name) {
                cx.error(&entry.ident, format!("duplicate key `{}`", entry.ident));
            } else {
                entries.list.push(entry);
            }
        }
        entries
    }

    fn read_one(&mut self, cx: &Ctxt, keys: &'static [Key], part: &[TokenTree]) -> Option<Entry> {
        let [TokenTree::Ident(ident), rest @ ..] = part else {
            self.garbled = true;
            cx.error(stream(part), format!("expected a key: {}", names(keys)));
            return None;
        };
        let Some(key) = keys.iter().find(|key| ident == key.name) else {
            let nearest = nearest(keys, &ident.to_string());
            self.meant.extend(nearest);
            let hint = match nearest {
                Some(name) => format!(", did you mean `{name}`? {}", names(keys)),
                None => format!("; {}", names(keys)),
            };
            cx.error(ident, format!("unknown key `{ident}`{hint}"));
            return None;
        };
        let value = match rest {
            [] => None,
            [TokenTree::Punct(punct), value @ ..] if punct.as_char() == '=' => Some(stream(value)),
            _ => {
                self.meant.push(key.name);
                let Key { name, example } = key;
                let message = match *example {
                    "" => format!("`{name}` takes no value"),
                    example => format!("expected `=` after `{name}`, as in `{name} = {example}`"),
                };
                cx.error(stream(rest), message);
                return None;
            }
        };
        let ident = ident.clone();
        Some(Entry { ident, key, value })
    }

    /// Notes that something was written of which nobody knows what was meant.
    pub(crate) fn set_garbled(&mut self) {
        self.garbled = true;
    }

    fn has(&self, name: &str) -> bool {
        self.list.iter().any(|entry| entry.key.name == name)
    }

    /// Reports the `required` keys that are absent, all at once.
    ///
    /// Whoever made a mistake in writing a key is not told that it is missing too.
    pub(crate) fn require(
        &self,
        cx: &Ctxt,
        attribute: &str,
        keys: &'static [Key],
        required: &[&str],
    ) {
        let absent = keys
            .iter()
            .filter(|key| required.contains(&key.name))
            .filter(|key| !self.has(key.name) && !self.meant.contains(&key.name));
        let names: Vec<_> = absent
            .clone()
            .map(|key| format!("`{}`", key.name))
            .collect();
        let examples: Vec<_> = absent
            .map(|key| format!("{} = {}", key.name, key.example))
            .collect();
        if names.is_empty() || self.garbled {
            return;
        }
        let (names, examples) = (names.join(" and "), examples.join(", "));
        let message = format!("missing {names}, as in `#[{attribute}({examples})]`");
        cx.error_at(Span::call_site(), message);
    }
}

fn is_comma(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')
}

fn stream(tokens: &[TokenTree]) -> TokenStream {
    tokens.iter().cloned().collect()
}

/// The key that somebody who wrote `found` is likely to have meant.
fn nearest(keys: &[Key], found: &str) -> Option<&'static str> {
    keys.iter()
        .map(|key| (strsim::jaro_winkler(key.name, found), key.name))
        .filter(|(similarity, name)| {
            *similarity > 0.75 || strsim::damerau_levenshtein(name, found) == 1
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn names(keys: &[Key]) -> String {
    let names: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
    format!("valid keys are {}", names.join(", "))
}

/// The elements of a bracketed list, or `None` if `tokens` are something else.
pub(crate) fn elements(tokens: &TokenStream) -> Option<Vec<TokenStream>> {
    let mut tokens = tokens.clone().into_iter();
    let (Some(TokenTree::Group(group)), None) = (tokens.next(), tokens.next()) else {
        return None;
    };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let elements: Vec<TokenTree> = group.stream().into_iter().collect();
    let parts = elements.split(is_comma).filter(|part| !part.is_empty());
    Some(parts.map(stream).collect())
}
