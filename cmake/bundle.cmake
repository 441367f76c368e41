# bundle_program(<target>): link a program with the loader and libraries under SUTFLEET_BUNDLE_PREFIX,
# so that it runs in an image that has no libc of its own. DT_RPATH (not RUNPATH) is used because only
# it also applies to the libraries' own dependencies.
function(bundle_program target)
  if(SUTFLEET_BUNDLE_PREFIX)
    target_link_options(${target} PRIVATE
      "LINKER:--dynamic-linker=${SUTFLEET_BUNDLE_PREFIX}/lib/loader"
      "LINKER:-rpath,${SUTFLEET_BUNDLE_PREFIX}/lib" "LINKER:--disable-new-dtags")
  endif()
endfunction()
