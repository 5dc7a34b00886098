//! .

#[doc(inline)]
pub use vulkan_core::*;
#[doc(inline)]
pub use vulkan_worker::*;

/// What the code written by the macros refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use vulkan_core::__private::*;
    pub use vulkan_worker::__private::*;
}
