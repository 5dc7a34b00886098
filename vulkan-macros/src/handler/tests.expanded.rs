/// Looks for stolen cards.
#[allow(clippy::too_many_arguments)]
pub fn screen(
    __argument0: OrderPlaced,
    cx: &Delivery,
    __argument2: State<PgPool>,
) -> ::vulkan::__private::Call<
    impl ::core::future::Future<Output = vulkan::Result>,
    screen,
> {
    #[tracing::instrument]
    #[allow(clippy::unused_async)]
    async fn screen(
        OrderPlaced { id, .. }: OrderPlaced,
        cx: &Delivery,
        State(db): State<PgPool>,
    ) -> vulkan::Result {
        body(id, cx, db).await
    }
    ::vulkan::__private::Call::new(screen(__argument0, cx, __argument2))
}
#[doc(hidden)]
#[derive(::core::default::Default)]
pub struct screen {}
#[automatically_derived]
impl<__S> ::vulkan::__private::Handler<__S> for screen
where
    __S: ::core::marker::Sync,
    State<PgPool>: ::vulkan::__private::FromDelivery<__S>,
{
    fn options(&self) -> ::vulkan::__private::HandlerOptions {
        ::vulkan::__private::HandlerOptions::new("orders", "fraud")
            .name("screen")
            .kinds(["order.placed"])
            .retries(5u32)
            .backoff(
                ::vulkan::__private::Backoff::new(
                    ::core::time::Duration::new(2u64, 0u32),
                    ::core::time::Duration::new(300u64, 0u32),
                ),
            )
            .timeout(::core::time::Duration::new(90u64, 0u32))
            .lease(::core::time::Duration::new(30u64, 0u32))
            .concurrency(8)
            .start(::vulkan::__private::Start::Latest)
    }
    #[allow(clippy::significant_drop_tightening)]
    async fn call(
        &self,
        __delivery: &::vulkan::__private::Delivery,
        __state: &__S,
    ) -> ::vulkan::__private::Result {
        let __payload = ::vulkan::__private::decode::<OrderPlaced>(__delivery)?;
        let __argument0 = <Delivery as ::vulkan::__private::DeliveryArgument>::of(
            __delivery,
        );
        let __argument1 = <State<
            PgPool,
        > as ::vulkan::__private::FromDelivery<__S>>::from_delivery(__delivery, __state)
            .await?;
        let __output = screen(__payload, __argument0, __argument1).await;
        <vulkan::Result as ::vulkan::__private::IntoResult>::into_result(__output)
    }
}
