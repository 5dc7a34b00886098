//! Transactional handlers: a message that is done had its effect, and had it once.

use std::collections::{BTreeMap, HashMap};

use super::{Anomaly, History};

pub(super) fn check(history: &History, found: &mut Vec<Anomaly>) {
    let mut effects: BTreeMap<&str, HashMap<i64, i64>> = BTreeMap::new();
    for (group, offset, many) in &history.last.effects {
        effects.entry(group).or_default().insert(*offset, *many);
    }
    for group in history.rules.groups.iter().filter(|group| group.effects) {
        let mut of_group = effects.remove(group.name.as_str()).unwrap_or_default();
        let of = |status: &str| i64::from(status == "done");
        for one in history
            .last
            .deliveries
            .iter()
            .filter(|one| one.group == group.name)
        {
            let (many, due) = (of_group.remove(&one.offset).unwrap_or(0), of(&one.status));
            if many != due {
                found.push(Anomaly::new(
                    "effect-not-once",
                    format!(
                        "message {} of {} is {} and had its effect {many} times",
                        one.offset, group.name, one.status
                    ),
                ));
            }
        }
        found.extend(of_group.into_keys().map(|offset| {
            Anomaly::new(
                "effect-not-once",
                format!("{offset} is no message of {} and had an effect", group.name),
            )
        }));
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::story::Story;

    fn effects(many: &[(i64, i64)]) -> Vec<&'static str> {
        let mut story = Story::sound();
        story.rules.groups[0].effects = true;
        let group = story.rules.groups[0].name.clone();
        story.last.effects = many
            .iter()
            .map(|(offset, many)| (group.clone(), *offset, *many))
            .collect();
        story.anomalies()
    }

    #[test]
    fn an_effect_happens_once() {
        assert_eq!(effects(&[(1, 1), (2, 1), (3, 1)]), [""; 0]);
        assert_eq!(effects(&[(1, 1), (2, 2), (3, 1)]), ["effect-not-once"]);
        assert_eq!(effects(&[(1, 1), (3, 1)]), ["effect-not-once"]);
        assert_eq!(
            effects(&[(1, 1), (2, 1), (3, 1), (9, 1)]),
            ["effect-not-once"]
        );
    }
}
