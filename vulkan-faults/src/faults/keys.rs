//! Keys: a million of them, and keys of any bytes.

use rand::RngExt;
use vulkan::{Client, Message};

use crate::Result;
use crate::child::{Deed, Job};
use crate::ledger::Entry;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// A million keys.
pub(super) async fn million(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup.groups.truncate(2);
    setup.groups.iter_mut().for_each(|group| {
        group.fails_one_in = 997;
        group.millis = 0;
    });
    let mut stand = Stand::under_load(&plan, "keys", setup).await?;
    let client = Client::new(stand.pool().clone());
    let many = plan.of(5_000_u64, 1_000_000);
    publish(&mut stand, &client, many, |nth| {
        format!("one-of-many-{nth}")
    })
    .await?;
    stand.finish().await
}

/// Keys of any bytes.
pub(super) async fn any_bytes(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "bytes", Setup::base()).await?;
    let client = Client::new(stand.pool().clone());
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
    let many = plan.of(2_000_u64, 200_000);
    publish(&mut stand, &client, many, |nth| {
        let nth = usize::try_from(nth).unwrap_or_default() % (hostile.len() + random.len());
        hostile.get(nth).map_or_else(
            || random[nth - hostile.len()].clone(),
            |key| (*key).to_owned(),
        )
    })
    .await?;
    stand.finish().await
}

async fn publish(
    stand: &mut Stand,
    client: &Client,
    many: u64,
    key: impl Fn(u64) -> String,
) -> Result<()> {
    let mut id = 1 << 58;
    for begin in (0..many).step_by(500) {
        let (mut batch, first) = (Vec::new(), id);
        for nth in begin..(begin + 500).min(many) {
            let (key, pad) = (key(nth), String::new());
            let message = Message::new(
                "load",
                "keyed.made",
                &Job {
                    id,
                    deed: Deed::Work,
                    pad,
                },
            )?;
            stand.note(Entry::Invoke {
                id,
                key: Some(key.clone()),
                dedup: false,
            });
            batch.push(message.key(key));
            id += 1;
        }
        for (nth, offset) in client.publish_many(batch).await?.into_iter().enumerate() {
            stand.note(Entry::Ok {
                id: first + nth as u64,
                offset,
            });
        }
    }
    Ok(())
}
