//! Keys: a million of them, and keys of any bytes.

use rand::RngExt;

use crate::Result;
use crate::stand::{Event, Outcome, Plan, Setup, Stand};

/// A million keys.
pub(super) async fn million(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup.groups.truncate(2);
    setup.groups.iter_mut().for_each(|group| {
        group.fails_one_in = 997;
        group.millis = 0;
    });
    let mut stand = Stand::under_load(&plan, "keys", setup).await?;
    stand.calm = true;
    let many = plan.of(5_000_u64, 1_000_000);
    let events = (0..many).map(|nth| Event::keyed(format!("one-of-many-{nth}")));
    stand.publish_all(events).await?;
    stand.finish().await
}

/// Keys of any bytes.
pub(super) async fn any_bytes(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "bytes", Setup::base()).await?;
    stand.calm = true;
    let hostile = [
        "",
        " ",
        "'",
        "\"",
        "\\",
        "';DROP TABLE x;--",
        "%s",
        "{}",
        "\u{1}",
        "\u{7f}",
        "\u{feff}",
        "\u{202e}abc",
        "é",
        "e\u{301}",
        "\u{10ffff}",
        "NULL",
        "a:b:c",
        "\r\n",
        "\t",
        "$1",
    ];
    let random: Vec<String> = (0..200)
        .map(|_| {
            let length = rand::rng().random_range(1..200);
            (0..length)
                .map(|_| rand::rng().random_range('\u{1}'..='\u{ffff}'))
                .collect()
        })
        .collect();
    let keys: Vec<String> = (hostile.into_iter().map(str::to_owned))
        .chain(random)
        .collect();
    let many = plan.of(2_000_usize, 200_000);
    let keys = (0..many).map(move |nth| keys[nth % keys.len()].clone());
    stand.publish_all(keys.map(Event::keyed)).await?;
    stand.finish().await
}
