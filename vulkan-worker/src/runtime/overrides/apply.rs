use vulkan_names::HANDLER_KEYS;

use super::set::set;
use super::{Entry, Overrides, Target};
use crate::handler::HandlerOptions;
use crate::runtime::error::Mistake;

/// Changes the options of handlers as the overrides say, the later over the earlier. Returns what could not be.
pub(in crate::runtime) fn apply(
    overrides: &[Overrides],
    handlers: &mut [&mut HandlerOptions],
) -> Vec<Mistake> {
    let entries = overrides.iter().flat_map(|overrides| &overrides.entries);
    entries
        .flat_map(|entry| apply_one(entry, handlers))
        .collect()
}

fn apply_one(entry: &Entry, handlers: &mut [&mut HandlerOptions]) -> Vec<Mistake> {
    let (option, of): (String, Vec<usize>) = match find(entry, handlers) {
        Ok(found) => found,
        Err(mistake) => return vec![mistake],
    };
    let mut mistakes = Vec::new();
    for nth in of {
        let options = &mut *handlers[nth];
        match set(options, &option, &entry.value) {
            Ok(()) => tracing::info!(
                handler = &*options.name,
                option,
                value = %entry.value,
                place = entry.place(),
                "an option is overridden"
            ),
            Err(problem) => mistakes.push(Mistake::Override {
                place: entry.place(),
                problem,
            }),
        }
    }
    // One value is wrong once, however many handlers have the name.
    mistakes.truncate(1);
    mistakes
}

/// Which option of which handlers is meant.
fn find(entry: &Entry, handlers: &[&mut HandlerOptions]) -> Result<(String, Vec<usize>), Mistake> {
    let names = || handlers.iter().map(|options| options.name.to_string());
    let (option, of) = match &entry.target {
        Target::Option { handler, option } => {
            let of: Vec<usize> = places(handlers, |name| name == handler);
            if of.is_empty() {
                return Err(Mistake::UnknownHandler {
                    place: entry.place(),
                    nearest: nearest(names(), handler),
                });
            }
            (option.clone(), of)
        }
        Target::Variable(rest) => {
            // The longest name, where one is the beginning of another.
            let begins = |name: &str| {
                let name = shouted(name);
                let option = rest.strip_prefix(&name)?.strip_prefix('_')?;
                Some((name.len(), option.to_ascii_lowercase()))
            };
            let known = |option: &str| HANDLER_KEYS.iter().any(|key| key.name == option);
            let best = names()
                .filter_map(|name| begins(&name))
                .max_by_key(|(len, option)| (known(option), *len));
            let Some((len, option)) = best else {
                // Without the key, if it ends with one, the rest ought to be a name.
                let key = HANDLER_KEYS
                    .iter()
                    .find_map(|key| rest.strip_suffix(&shouted(key.name))?.strip_suffix('_'));
                return Err(Mistake::UnknownHandler {
                    place: entry.place(),
                    nearest: nearest(names().map(|name| shouted(&name)), key.unwrap_or(rest)),
                });
            };
            (
                option,
                places(handlers, |name| shouted(name) == rest[..len]),
            )
        }
    };
    if HANDLER_KEYS.iter().all(|key| key.name != option) {
        let keys = HANDLER_KEYS.iter().map(|key| key.name.to_owned());
        return Err(Mistake::UnknownOption {
            place: entry.place(),
            nearest: nearest(keys, &option),
        });
    }
    Ok((option, of))
}

fn places(handlers: &[&mut HandlerOptions], is: impl Fn(&str) -> bool) -> Vec<usize> {
    let all = handlers.iter().enumerate();
    all.filter(|(_, options)| is(&options.name))
        .map(|(place, _)| place)
        .collect()
}

/// A name as environment variables have it.
fn shouted(name: &str) -> String {
    name.chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_uppercase(),
            false => '_',
        })
        .collect()
}

/// The name that somebody who wrote `found` is likely to have meant.
fn nearest(names: impl Iterator<Item = String>, found: &str) -> Option<String> {
    names
        .map(|name| (strsim::jaro_winkler(&name, found), name))
        .filter(|(similarity, name)| {
            *similarity > 0.75 || strsim::damerau_levenshtein(name, found) == 1
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(name: &'static str) -> HandlerOptions {
        HandlerOptions::new("orders", "group").name(name)
    }

    fn applied(
        overrides: &[Overrides],
        names: &[&'static str],
    ) -> (Vec<HandlerOptions>, Vec<String>) {
        let mut options: Vec<_> = names.iter().map(|name| handler(name)).collect();
        let mut handlers: Vec<_> = options.iter_mut().collect();
        let mistakes = apply(overrides, &mut handlers);
        let mistakes = mistakes.iter().map(ToString::to_string).collect();
        (options, mistakes)
    }

    #[test]
    fn the_later_goes_over_the_earlier_and_the_rest_stays() {
        let file: Overrides =
            serde_json::from_str(r#"{"screen": {"retries": 1, "timeout": "30s"}}"#).unwrap();
        let env = Overrides::from_vars([("VULKAN_HANDLER_SCREEN_RETRIES", "2"), ("PATH", "/bin")]);
        let (options, mistakes) = applied(&[file, env], &["screen", "other"]);
        assert_eq!(mistakes, [""; 0]);
        let timeout = std::time::Duration::from_secs(30);
        let expected = handler("screen").retries(2).timeout(timeout);
        assert_eq!(options, [expected, handler("other")]);
    }

    #[test]
    fn variables_find_their_handler() {
        let names = ["mail", "mail-batch", "send_mail", "Ökonom"];
        let table = [
            ("MAIL_WEIGHT", "mail"),
            ("MAIL_BATCH_WEIGHT", "mail-batch"),
            ("SEND_MAIL_WEIGHT", "send_mail"),
            ("_KONOM_WEIGHT", "Ökonom"),
        ];
        for (rest, name) in table {
            let env = Overrides::from_vars([(format!("VULKAN_HANDLER_{rest}"), "9")]);
            let (options, mistakes) = applied(&[env], &names);
            assert_eq!(mistakes, [""; 0], "{rest}");
            let changed: Vec<_> = options.iter().filter(|o| o.weight.is_some()).collect();
            assert_eq!(changed.len(), 1);
            assert_eq!(changed[0].name, name);
        }
        // `batch` is a key, too.
        let env = Overrides::from_vars([("VULKAN_HANDLER_MAIL_BATCH", "9")]);
        assert_eq!(applied(&[env], &names).0[0].batch, Some(9));
    }

    #[test]
    fn mistakes_name_the_place_and_the_nearest() {
        let map = Overrides::new()
            .set("scren", "retries", 1)
            .set("screen", "retry", 1)
            .set("screen", "retries", -1);
        let env = Overrides::from_vars([
            ("VULKAN_HANDLER_SCREEM_RETRIES", "1"),
            ("VULKAN_HANDLER_SCREEN_TIME_OUT", "1s"),
            ("VULKAN_HANDLER_SCREEN_LEASE", "1"),
        ]);
        let (options, mistakes) = applied(&[map, env], &["screen"]);
        assert_eq!(options, [handler("screen")]);
        let expected = [
            "override scren.retries names no handler, did you mean \"screen\"?",
            "override screen.retry names no option, did you mean \"retries\"?",
            "override screen.retries: it is no integer from 0 to 1000, as in retries = 5",
            "override VULKAN_HANDLER_SCREEM_RETRIES names no handler, did you mean \"SCREEN\"?",
            "override VULKAN_HANDLER_SCREEN_LEASE: duration \"1\" lacks a unit: use ms, s, m, h or d after each number, \
             as in lease = \"30s\"",
            "override VULKAN_HANDLER_SCREEN_TIME_OUT names no option, did you mean \"timeout\"?",
        ];
        assert_eq!(mistakes, expected);
    }
}
