use protocol::api::Page;

/// Which piece of a list: what comes after a place in it, up to a limit. Lists
/// by name have names as places, the others ids.
#[derive(Debug, Clone)]
pub struct Slice<C> {
    pub after: Option<C>,
    /// From 1 to [`Slice::MOST`].
    pub limit: u32,
}

impl<C> Default for Slice<C> {
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

impl<C> Slice<C> {
    pub const MOST: u32 = 1000;

    /// The longest piece from the beginning.
    pub fn first() -> Self {
        Self { after: None, limit: Self::MOST }
    }

    /// One more than is shown tells whether there is more.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MOST)) + 1
    }

    pub(crate) fn page<T>(&self, mut items: Vec<T>, place: impl Fn(&T) -> String) -> Page<T> {
        let shown = usize::try_from(self.rows() - 1).unwrap_or(usize::MAX);
        let more = items.len() > shown;
        items.truncate(shown);
        Page { next: items.last().filter(|_| more).map(place), items }
    }
}
