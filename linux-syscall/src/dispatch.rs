//! What the table expands to.

/// How the trace names a call and its arguments.
pub struct CallInfo {
    /// Number.
    pub nr: u64,
    /// Name.
    pub name: &'static str,
    /// The module that handles it.
    pub module: &'static str,
    /// The arguments.
    pub args: &'static [ArgInfo],
}

/// How the trace names and prints one argument.
pub struct ArgInfo {
    /// Name, as the man page has it.
    pub name: &'static str,
    /// Prints the register.
    pub trace: TraceArg,
    /// What it points to.
    pub points_to: PointsTo,
}

/// What the trace may show behind a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointsTo {
    /// Nothing that it knows.
    Nothing,
    /// A string that ends with a zero byte.
    String,
    /// Bytes that the call reads; the next argument is their number.
    BytesIn,
    /// Bytes that the call writes; its result is their number.
    BytesOut,
}

/// Prints a raw argument.
pub type TraceArg = fn(u64, &mut dyn core::fmt::Write) -> core::fmt::Result;

/// Makes `dispatch` and `CALLS` from lines `number name(argument: Type, …) => module;`.
#[macro_export]
macro_rules! syscalls {
    ($($nr:literal $name:ident($($arg:ident: $ty:ty),*) => $module:ident;)*) => {
        /// Calls the handler of `nr` with the arguments in the registers, decoded.
        #[inline]
        pub fn dispatch(cx: &mut $crate::context::Cx<'_>, nr: u64) -> Result<usize> {
            match nr {
                $($nr => {
                    #[allow(unused_mut, unused_variables)]
                    let mut raw = cx.regs.args().into_iter();
                    $module::$name(cx, $({
                        <$ty as $crate::arg::Arg>::decode(raw.next().unwrap_or_default())
                    }),*)
                })*
                _ => linux_object::bail!(ENOSYS, "no such system call"),
            }
        }

        /// Every call in the table, by number.
        pub static CALLS: &[$crate::dispatch::CallInfo] = &[
            $($crate::dispatch::CallInfo {
                nr: $nr,
                name: stringify!($name),
                module: stringify!($module),
                args: &[$($crate::dispatch::ArgInfo {
                    name: stringify!($arg),
                    trace: |raw, f| $crate::arg::Arg::trace(&<$ty as $crate::arg::Arg>::decode(raw), f),
                    points_to: <$ty as $crate::arg::Arg>::POINTS_TO,
                }),*],
            },)*
        ];
    };
}
