use vulkan::{Delivery, Handler, HandlerOptions, IntoHandler, Result};

struct App;
struct Other;

struct Audit;

impl Handler<App> for Audit {
    fn options(&self) -> HandlerOptions {
        HandlerOptions::new("orders", "audit")
    }

    async fn call(&self, _: &Delivery, _: &App) -> Result {
        Ok(())
    }
}

fn register<S, H, M>(_: H)
where
    H: IntoHandler<S, M>,
    H::Handler: Handler<S>,
{
}

fn main() {
    register::<App, _, _>(Audit);
    register::<Other, _, _>(Audit);
}
