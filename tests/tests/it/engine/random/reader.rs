//! The reader of a cursor group.

use super::event::Rules;
use super::history::History;
use crate::support::TestDb;

const RULES: Rules = Rules::InEu;

/// A bare cursor, and where it is.
pub(super) struct Reader {
    group_id: i32,
    cursor: i64,
}

impl Reader {
    pub(super) async fn new(db: &TestDb) -> Self {
        let sql = "SELECT vulkan.create_group('orders', 'reader', mode => 'cursor', rules => $1)";
        let group_id = sqlx::query_scalar(sql)
            .bind(RULES.json())
            .fetch_one(&db.pool)
            .await
            .unwrap();
        Self {
            group_id,
            cursor: 0,
        }
    }
}

impl History {
    /// Reads a page, and asserts that it is the next one, with nothing left out.
    pub(super) async fn read(&mut self, most: usize, commit: bool) {
        let sql = "SELECT term, cursor FROM vulkan.take_cursor($1, 'reader')";
        let (term, cursor): (i64, i64) = sqlx::query_as(sql)
            .bind(self.reader.group_id)
            .fetch_one(&self.db.pool)
            .await
            .unwrap();
        assert_eq!(cursor, self.reader.cursor);
        let lso = self.lso().await;
        let page: Vec<(i64, Option<i64>)> = sqlx::query_as(
            "SELECT up_to, \"offset\" FROM vulkan.read_events(1, $1, $2, group_id => $3)",
        )
        .bind(cursor)
        .bind(most as i32)
        .bind(self.reader.group_id)
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        let expected: Vec<i64> = self
            .events
            .range(cursor + 1..)
            .filter(|(offset, (event, _))| **offset <= lso && RULES.matches(event))
            .map(|(offset, _)| *offset)
            .take(most)
            .collect();
        let found: Vec<i64> = page.iter().filter_map(|(_, offset)| *offset).collect();
        assert_eq!(found, expected, "the page after {cursor}, up to {lso}");
        let Some((up_to, _)) = page.first() else {
            return;
        };
        assert!(*up_to <= lso, "a page up to {up_to}, above {lso}");
        if commit {
            let sql = "SELECT vulkan.commit_cursor($1, $2, $3)";
            let committed: i64 = sqlx::query_scalar(sql)
                .bind(self.reader.group_id)
                .bind(term)
                .bind(up_to)
                .fetch_one(&self.db.pool)
                .await
                .unwrap();
            self.reader.cursor = committed;
        }
    }
}
