use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// The future of an annotated function, which remembers the handler made of it.
    ///
    /// `#[handler]` lets `async fn screen(..)` return `Call<_, screen>`.
    /// To those who await it nothing changes; [`IntoHandler`](super::IntoHandler) reads from it
    /// which handler `register(screen)` means.
    #[must_use = "futures do nothing unless you `.await` them"]
    pub struct Call<F, H> {
        #[pin]
        future: F,
        handler: PhantomData<fn() -> H>,
    }
}

impl<F, H> Call<F, H> {
    /// Marks `future` as a call of the handler `H`.
    pub fn new(future: F) -> Self {
        Self {
            future,
            handler: PhantomData,
        }
    }
}

impl<F: Future, H> Future for Call<F, H> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F, H> fmt::Debug for Call<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
