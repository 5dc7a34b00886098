use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A field that can be the partition key of an [`Event`](super::Event).
///
/// It stands for the text that is stored with the event, borrowed where the field is text already.
/// Two events belong to the same key exactly if their texts are equal.
/// Floating-point numbers are left out: their text is no identity.
///
/// # Examples
///
/// ```
/// use std::borrow::Cow;
/// use vulkan_core::PartitionKey;
///
/// struct Account(u64);
///
/// impl PartitionKey for Account {
///     fn partition_key(&self) -> Option<Cow<'_, str>> {
///         Some(format!("account-{}", self.0).into())
///     }
/// }
///
/// assert_eq!(Account(7).partition_key().as_deref(), Some("account-7"));
/// assert_eq!(None::<Account>.partition_key(), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition key",
    label = "not a partition key",
    note = "a key is text, an integer, a `bool`, a `char`, a `Uuid`, or an `Option`, a `Box`, \
            an `Rc`, an `Arc` or a reference of one",
    note = "for a type of your own, implement `vulkan::PartitionKey`"
)]
pub trait PartitionKey {
    /// The text of the key, or `None` for an event without one.
    fn partition_key(&self) -> Option<Cow<'_, str>>;
}

impl PartitionKey for str {
    fn partition_key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self))
    }
}

impl PartitionKey for String {
    fn partition_key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self))
    }
}

impl PartitionKey for Cow<'_, str> {
    fn partition_key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self))
    }
}

impl<T: PartitionKey> PartitionKey for Option<T> {
    fn partition_key(&self) -> Option<Cow<'_, str>> {
        self.as_ref().and_then(T::partition_key)
    }
}

macro_rules! by_display {
    ($($ty:ty)*) => {$(
        impl PartitionKey for $ty {
            fn partition_key(&self) -> Option<Cow<'_, str>> {
                Some(Cow::Owned(self.to_string()))
            }
        }
    )*};
}

by_display!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize bool char uuid::Uuid);

macro_rules! by_pointee {
    ($($ty:ty)*) => {$(
        impl<T: PartitionKey + ?Sized> PartitionKey for $ty {
            fn partition_key(&self) -> Option<Cow<'_, str>> {
                (**self).partition_key()
            }
        }
    )*};
}

by_pointee!(&T &mut T Box<T> Rc<T> Arc<T>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let uuid = uuid::Uuid::nil();
        let table: [(&dyn PartitionKey, Option<&str>); 12] = [
            (&"eu", Some("eu")),
            (&String::from("eu"), Some("eu")),
            (&Cow::Borrowed("eu"), Some("eu")),
            (&-7_i64, Some("-7")),
            (&u128::MAX, Some("340282366920938463463374607431768211455")),
            (&true, Some("true")),
            (&'x', Some("x")),
            (&uuid, Some("00000000-0000-0000-0000-000000000000")),
            (&Some(Box::new(3_u8)), Some("3")),
            (&Arc::<str>::from("eu"), Some("eu")),
            (&None::<String>, None),
            (&Some(None::<String>), None),
        ];
        for (key, text) in table {
            assert_eq!(key.partition_key().as_deref(), text);
        }
    }

    #[test]
    fn text_is_borrowed() {
        assert!(matches!("eu".partition_key(), Some(Cow::Borrowed("eu"))));
    }
}
