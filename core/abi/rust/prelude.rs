// SPDX-License-Identifier: LGPL-2.1-or-later
// Generated from <vireo/driver.h> and <vireo/ops.h>, which document all of it.
//! The driver ABI of Vireo. Names, numbers and layouts are those of the C headers; the crate needs `core` alone, unless
//! `safe` is wanted (not with `--cfg vireo_no_std`). `driver!` writes a module's table, note and entry function.
#![no_std]
#![allow(non_camel_case_types, non_upper_case_globals, non_snake_case, clippy::all)]

#[cfg(not(vireo_no_std))]
extern crate std;

pub use core::ffi::c_void;
pub type c_int = i32;
#[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64", target_arch = "riscv64", target_arch = "s390x"))]
pub type c_char = u8;
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64", target_arch = "riscv64", target_arch = "s390x")))]
pub type c_char = i8;

/// What may be all zero bytes.
pub unsafe trait Plain: Copy {}

pub fn zeroed<T: Plain>() -> T {
    unsafe { core::mem::zeroed() }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vireo_list<T: Copy> {
    pub len: u32,
    pub val: *mut T,
}

// @BINDINGS@

unsafe impl Sync for vireo_driver {}
unsafe impl Sync for vireo_op {}

/// Whether the daemon has that member of the host table, as VIREO_HOST_HAS in C.
#[macro_export]
macro_rules! host_has {
    ($host:expr, $member:ident) => {{
        let host: *const $crate::vireo_host = $host;
        let end = unsafe { core::ptr::addr_of!((*host).$member).add(1) } as usize;
        unsafe { (*host).size as usize >= end - host as usize }
    }};
}

#[doc(hidden)]
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    pub namesz: u32,
    pub descsz: u32,
    pub kind: u32,
    pub owner: [u8; 8],
    pub head: vireo_note_head,
    pub ops: [vireo_note_op; N],
}

#[doc(hidden)]
pub const fn halves(mask: u64) -> [u32; 2] {
    [mask as u32, (mask >> 32) as u32]
}

#[doc(hidden)]
pub const fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    let bytes = text.as_bytes();
    let mut i = 0;
    assert!(bytes.len() < N, "a name, version or list of schemes is too long for the note");
    while i < bytes.len() {
        out[i] = bytes[i] as c_char;
        i += 1;
    }
    out
}

#[doc(hidden)]
pub const fn check(native: u64, trivial: u64, active: u64, inactive: u64, known: u64) {
    assert!(native & trivial == 0, "a flag is native or trivial, not both");
    assert!((native | trivial) & !known == 0, "unknown flag");
    assert!((active | inactive) & !native == 0, "state rule on a flag that is not native");
}

/// Writes the note, the table and the entry function of a module. Each row is an operation, its function (of the type
/// vireo_OPERATION_fn), and its native, trivial, active and inactive flags. Once in a crate.
#[macro_export]
macro_rules! driver {
    (name: $name:literal, version: $version:literal, schemes: $schemes:literal, threads: $threads:expr,
     target: $target:expr, init: $init:expr, fini: $fini:expr,
     ops: [$(($op:ident, $fn:expr, $native:expr, $trivial:expr, $active:expr, $inactive:expr)),+ $(,)?] $(,)?) => {
        const VIREO_N_OPS: usize = [$($crate::op::$op::ID),+].len();
        $(const _: () = $crate::check($native as u64, $trivial as u64, $active as u64, $inactive as u64,
                                      $crate::op::$op::FLAGS);)+
        const _: () = assert!($target <= $crate::VIREO_ABI_MINOR, "the target is newer than the bindings");

        #[used]
        #[link_section = ".note.vireo.driver"]
        static VIREO_NOTE: $crate::Note<VIREO_N_OPS> = $crate::Note {
            namesz: 6,
            descsz: (core::mem::size_of::<$crate::vireo_note_head>()
                + VIREO_N_OPS * core::mem::size_of::<$crate::vireo_note_op>()) as u32,
            kind: $crate::VIREO_NOTE_DRIVER,
            owner: *b"vireo\0\0\0",
            head: $crate::vireo_note_head {
                head_size: core::mem::size_of::<$crate::vireo_note_head>() as u32,
                op_size: core::mem::size_of::<$crate::vireo_note_op>() as u32,
                n_ops: VIREO_N_OPS as u32,
                abi_major: $crate::VIREO_ABI_MAJOR,
                abi_target: $target,
                threads: $threads as u32,
                name: $crate::text($name),
                version: $crate::text($version),
                schemes: $crate::text($schemes),
            },
            ops: [$($crate::vireo_note_op {
                id: $crate::op::$op::ID,
                native: $crate::halves($native as u64),
                trivial: $crate::halves($trivial as u64),
                active: $crate::halves($active as u64),
                inactive: $crate::halves($inactive as u64),
            }),+],
        };

        static VIREO_OPS: [$crate::vireo_op; VIREO_N_OPS] = [$($crate::vireo_op {
            id: $crate::op::$op::ID,
            reserved: 0,
            native: $native as u64,
            trivial: $trivial as u64,
            active: $active as u64,
            inactive: $inactive as u64,
            r#fn: $crate::vireo_fn { $op: Some($fn) },
        }),+];

        static VIREO_DRIVER: $crate::vireo_driver = $crate::vireo_driver {
            size: core::mem::size_of::<$crate::vireo_driver>() as u32,
            abi_major: $crate::VIREO_ABI_MAJOR,
            abi_target: $target,
            name: concat!($name, "\0").as_ptr() as *const $crate::c_char,
            version: concat!($version, "\0").as_ptr() as *const $crate::c_char,
            schemes: concat!($schemes, "\0").as_ptr() as *const $crate::c_char,
            threads: $threads as u32,
            op_size: core::mem::size_of::<$crate::vireo_op>() as u32,
            n_ops: VIREO_N_OPS as u32,
            reserved: 0,
            ops: unsafe { &VIREO_OPS as *const $crate::vireo_op },
            init: Some($init),
            fini: Some($fini),
        };

        #[no_mangle]
        pub extern "C" fn vireo_driver_entry_1() -> *const $crate::vireo_driver {
            &VIREO_DRIVER
        }
    };
}

/// Operations as functions of safe Rust: what they are given are references, an error is a value, and a panic fails the
/// call and not the daemon.
#[cfg(not(vireo_no_std))]
pub mod safe {
    use super::*;
    use core::ffi::c_void;
    use std::borrow::Cow;
    use std::boxed::Box;
    use std::ffi::{CStr, CString};
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::string::String;

    /// Why an operation failed: a number of enum vireo_error_number, and a sentence.
    pub struct Error(pub i32, pub String);
    pub type Result<T> = core::result::Result<T, Error>;

    /// One driver. Operations of `VIREO_SERIAL` follow each other; the compiler asks for a lock all the same.
    pub trait Driver: Sync + Sized + 'static {
        /// Runs once. An error is logged.
        fn new(host: &'static vireo_host, core: *mut vireo_core) -> Result<Self>;
        fn host(&self) -> &'static vireo_host;
    }

    /// The call at work.
    pub struct Call {
        host: &'static vireo_host,
        raw: *mut vireo_call,
    }

    impl Call {
        /// A copy that lives until the reply is out.
        pub fn text(&self, text: &str) -> *mut c_char {
            let text = c_string(text);
            unsafe { (self.host.strdup.unwrap())(self.raw, text.as_ptr() as *const c_char) }
        }

        /// Whether the client has gone, or no longer waits.
        pub fn cancelled(&self) -> bool {
            unsafe { (self.host.cancelled.unwrap())(self.raw) != 0 }
        }

        /// For the other functions of the host table.
        pub fn raw(&self) -> *mut vireo_call {
            self.raw
        }
    }

    /// Up to its first NUL byte.
    pub fn c_string(text: &str) -> CString {
        CString::new(text.split('\0').next().unwrap_or("")).unwrap_or_default()
    }

    /// A string of arguments; NULL is empty.
    ///
    /// # Safety
    /// It comes from the daemon, and is used during its call alone.
    pub unsafe fn string<'a>(text: *const c_char) -> Cow<'a, str> {
        if text.is_null() {
            return Cow::Borrowed("");
        }
        CStr::from_ptr(text as *const _).to_string_lossy()
    }

    unsafe fn run<D: Driver>(conn: *mut c_void, raw: *mut vireo_call, f: impl FnOnce(&'static D, &Call) -> Result<()>)
        -> c_int {
        let driver = &*(conn as *const D);
        let host = driver.host();
        let Error(code, said) = match catch_unwind(AssertUnwindSafe(|| f(driver, &Call { host, raw }))) {
            Ok(Ok(())) => return VIREO_OK,
            Ok(Err(error)) => error,
            Err(_) => Error(VIREO_ERR_INTERNAL_ERROR, String::from("the driver has panicked")),
        };
        let format = "%s\0".as_ptr() as *const c_char;
        (host.fail.unwrap())(raw, code, format, c_string(&said).as_ptr())
    }

    /// The function itself: it has no size, and its type says which it is.
    fn instance<F: Copy>() -> F {
        assert!(core::mem::size_of::<F>() == 0);
        unsafe { core::mem::MaybeUninit::<F>::uninit().assume_init() }
    }

    /// An operation with arguments and a result.
    pub const fn full<D: Driver, A: 'static, R: 'static, F>(_: F)
        -> unsafe extern "C" fn(*mut c_void, *mut vireo_call, *const A, *mut R) -> c_int
    where
        F: Fn(&'static D, &Call, &A, &mut R) -> Result<()> + Copy + 'static,
    {
        unsafe extern "C" fn shim<D: Driver, A, R, F>(conn: *mut c_void, call: *mut vireo_call, args: *const A,
                                                      ret: *mut R) -> c_int
        where
            F: Fn(&'static D, &Call, &A, &mut R) -> Result<()> + Copy,
        {
            run(conn, call, |driver, call| instance::<F>()(driver, call, &*args, &mut *ret))
        }
        shim::<D, A, R, F>
    }

    /// An operation with arguments.
    pub const fn args<D: Driver, A: 'static, F>(_: F)
        -> unsafe extern "C" fn(*mut c_void, *mut vireo_call, *const A) -> c_int
    where
        F: Fn(&'static D, &Call, &A) -> Result<()> + Copy + 'static,
    {
        unsafe extern "C" fn shim<D: Driver, A, F>(conn: *mut c_void, call: *mut vireo_call, args: *const A) -> c_int
        where
            F: Fn(&'static D, &Call, &A) -> Result<()> + Copy,
        {
            run(conn, call, |driver, call| instance::<F>()(driver, call, &*args))
        }
        shim::<D, A, F>
    }

    /// An operation with a result.
    pub const fn ret<D: Driver, R: 'static, F>(_: F) -> unsafe extern "C" fn(*mut c_void, *mut vireo_call, *mut R) -> c_int
    where
        F: Fn(&'static D, &Call, &mut R) -> Result<()> + Copy + 'static,
    {
        unsafe extern "C" fn shim<D: Driver, R, F>(conn: *mut c_void, call: *mut vireo_call, ret: *mut R) -> c_int
        where
            F: Fn(&'static D, &Call, &mut R) -> Result<()> + Copy,
        {
            run(conn, call, |driver, call| instance::<F>()(driver, call, &mut *ret))
        }
        shim::<D, R, F>
    }

    /// An operation with neither.
    pub const fn bare<D: Driver, F>(_: F) -> unsafe extern "C" fn(*mut c_void, *mut vireo_call) -> c_int
    where
        F: Fn(&'static D, &Call) -> Result<()> + Copy + 'static,
    {
        unsafe extern "C" fn shim<D: Driver, F>(conn: *mut c_void, call: *mut vireo_call) -> c_int
        where
            F: Fn(&'static D, &Call) -> Result<()> + Copy,
        {
            run(conn, call, |driver, call| instance::<F>()(driver, call))
        }
        shim::<D, F>
    }

    /// The init of a driver; what it makes is `self` of conn_open.
    pub unsafe extern "C" fn init<D: Driver>(host: *const vireo_host, core: *mut vireo_core, made: *mut *mut c_void)
        -> c_int {
        let host = &*host;
        let said = match catch_unwind(AssertUnwindSafe(|| D::new(host, core))) {
            Ok(Ok(driver)) => {
                *made = Box::into_raw(Box::new(driver)) as *mut c_void;
                return VIREO_OK;
            }
            Ok(Err(Error(_, said))) => said,
            Err(_) => String::from("the driver has panicked"),
        };
        let at = "init\0".as_ptr() as *const c_char;
        let format = "%s\0".as_ptr() as *const c_char;
        (host.log.unwrap())(core, VIREO_LOG_ERROR, at, format, c_string(&said).as_ptr());
        VIREO_FAIL
    }

    pub unsafe extern "C" fn fini<D: Driver>(driver: *mut c_void) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(driver as *mut D))));
    }
}
