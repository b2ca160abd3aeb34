#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
# dh --with vireo-driver
use strict;
use warnings;
use Debian::Debhelper::Dh_Lib;

insert_before('dh_installdeb', 'dh_vireo_driver');

1
