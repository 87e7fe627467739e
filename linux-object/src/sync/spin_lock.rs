//! A spin lock with a class.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::{LockClass, hooks};

struct Relax;

impl spin::RelaxStrategy for Relax {
    #[inline]
    fn relax() {
        hooks::relax();
    }
}

/// Mutual exclusion between CPUs, with a place `C` in the lock order.
pub struct SpinLock<T: ?Sized, C: LockClass> {
    class: PhantomData<fn() -> C>,
    inner: spin::mutex::SpinMutex<T, Relax>,
}

/// Access to what a [`SpinLock`] protects. Not `Send`: it is given back on the CPU that took it.
pub struct SpinGuard<'a, T: ?Sized, C: LockClass> {
    inner: spin::mutex::SpinMutexGuard<'a, T, Relax>,
    not_send: PhantomData<(*const (), fn() -> C)>,
}

impl<T, C: LockClass> SpinLock<T, C> {
    /// An unlocked lock around `value`.
    pub const fn new(value: T) -> Self {
        SpinLock {
            class: PhantomData,
            inner: spin::mutex::SpinMutex::new(value),
        }
    }

    /// The value, when nobody else can hold the lock.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized, C: LockClass> SpinLock<T, C> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_, T, C> {
        hooks::acquire(C::RANK, C::NAME, false);
        self.guard()
    }

    /// Waits for the lock while another of the same class is held; the caller's order between the
    /// two (stated where it calls) excludes a cycle.
    #[inline]
    pub fn lock_nested(&self) -> SpinGuard<'_, T, C> {
        hooks::acquire(C::RANK, C::NAME, true);
        self.guard()
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, C>> {
        let inner = self.inner.try_lock()?;
        hooks::acquire(C::RANK, C::NAME, true);
        Some(SpinGuard {
            inner,
            not_send: PhantomData,
        })
    }

    /// Access without locking, through unique ownership.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    #[inline]
    fn guard(&self) -> SpinGuard<'_, T, C> {
        SpinGuard {
            inner: self.inner.lock(),
            not_send: PhantomData,
        }
    }
}

impl<T: ?Sized, C: LockClass> Deref for SpinGuard<'_, T, C> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized, C: LockClass> DerefMut for SpinGuard<'_, T, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized, C: LockClass> Drop for SpinGuard<'_, T, C> {
    #[inline]
    fn drop(&mut self) {
        // Still locked for one moment more; the order check is this CPU's own business.
        hooks::release(C::RANK);
    }
}

impl<T: Default, C: LockClass> Default for SpinLock<T, C> {
    fn default() -> Self {
        SpinLock::new(T::default())
    }
}

impl<T: fmt::Debug, C: LockClass> fmt::Debug for SpinLock<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner.try_lock() {
            Some(value) => value.fmt(f),
            None => f.write_str("<locked>"),
        }
    }
}
