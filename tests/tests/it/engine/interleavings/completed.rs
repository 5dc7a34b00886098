//! A message of a key is completed in its handler's transaction while somebody else ends the run: by then one of the two has looked.

use super::{complete, ended, keyed, meanwhile};
use crate::support::{Publish, TestDb, within};

/// Completes the one message that is held, by either function.
const COMPLETIONS: [&str; 2] = [
    "SELECT vulkan.complete(1, 1, token, key_hash) FROM vulkan.keys",
    "SELECT vulkan.complete_many(1, '{1}', ARRAY[token], ARRAY[key_hash]) FROM vulkan.keys",
];

/// It has looked at the lane before that was taken away, and at the message after: its lane is ready for it.
#[tokio::test]
async fn a_completion_that_waits_for_a_reaper_comes_too_late() {
    for completion in COMPLETIONS {
        let db = TestDb::new().await;
        let group = db.group("g").await;
        keyed(&db, 1).await;
        group.claim_one().await;
        db.expire_leases().await;
        let mut reaper = db.pool.begin().await.unwrap();
        sqlx::query("SELECT vulkan.reap()")
            .execute(&mut *reaper)
            .await
            .unwrap();
        let completion = meanwhile(&db, completion).await;
        reaper.commit().await.unwrap();
        let error = ended(completion).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(code, "VK007");
        db.check().await;
        assert_eq!(group.claim_one().await.offset, 1);
    }
}

/// Nothing would be there that an operator could redrive, and the key would stand still for ever.
#[tokio::test]
async fn a_message_that_is_completed_after_all_does_not_block_its_key() {
    let db = TestDb::new().await;
    let group = db.group("g").await.with("on_dead = 'block'").await;
    keyed(&db, 1).await;
    let held = group.claim_one().await;
    let mut open = db.pool.begin().await.unwrap();
    complete(&group, &mut open, &held).await;
    let settlement = tokio::spawn({
        let group = group.clone();
        async move { group.settle_one(&held, "dead").await }
    });
    db.until_blocked().await;
    open.commit().await.unwrap();
    let verdicts = within("the settlement", settlement).await.unwrap();
    let verdicts: Vec<&str> = verdicts.iter().map(|one| one.verdict.as_str()).collect();
    assert_eq!(verdicts, ["stale"]);
    db.check().await;
    assert_eq!(group.status(1).await.unwrap().0, "done");
    let next = Publish::keyed("k").send(&db.pool).await;
    assert_eq!(group.claim_one().await.offset, next);
    db.check().await;
}
