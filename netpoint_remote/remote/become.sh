# shellcheck shell=sh
# Runs one script as the login user ("self") or as root ("root"), whatever shell the user logs in with.
#
# Called as: sh -c 'eval "$2"' sh WHO THIS-TEXT. Standard input brings, in this order:
#   1. one line: the sudo password, or nothing;
#   2. one line: netpoint-remote SIZE NONCE;
#   3. SIZE bytes: the script;
#   4. the payload, which is left for the script to read.
# Standard output brings: a line "\001NONCE begin", the script's output and errors, "\n\001NONCE STATUS\n";
# or one line "\001refused WORD" and what sudo said.
#
# The text travels in single quotes through bash, dash, csh and fish, with its comments cut off and its
# lines joined by blanks: it has no single quote, no exclamation mark, no doubled backslash, and ends
# every command with a semicolon. The password lives in this shell's memory and in a pipe, nowhere else:
# printf and read are the shell's own. It is tried exactly once, for a second failure may lock an account.
exec 2>&1;
case "$1" in
run)
    IFS=" " read -r mark size nonce;
    # a sudo that asked for no password after all has left its line for us
    if [ "${mark}" = netpoint-remote ]; then :; else IFS=" " read -r mark size nonce; fi;
    script=$(head -c "${size}"; echo .);
    printf "\001%s begin\n" "${nonce}";
    (set --; unset mark size nonce password; eval "${script%.}");
    printf "\n\001%s %s\n" "${nonce}" "$?";
    ;;
*)
    IFS= read -r password;
    said="";
    word="";
    if [ "$1" = self ] || [ "$(id -u || :)" = 0 ]; then
        exec sh -c "$2" sh run;
    elif [ -z "$(command -v sudo || :)" ]; then
        word=no-sudo;
    elif sudo -n true </dev/null 2>/dev/null; then
        exec sudo -n sh -c "$2" sh run;
    elif [ -z "${password}" ]; then
        word=needs-password;
        said=$(LC_ALL=C sudo -n true </dev/null 2>&1);
    elif said=$(printf "%s\n" "${password}" | LC_ALL=C sudo -k -S -p "" true 2>&1); then
        { printf "%s\n" "${password}"; exec cat; } | sudo -k -S -p "" sh -c "$2" sh run;
    else
        word=wrong-password;
    fi;
    if [ -n "${word}" ]; then
        case "${said}" in
        *" tty"*) word=needs-tty; ;;
        *"not in the sudoers"* | *"may not run"* | *"not allowed"*) word=not-allowed; ;;
        *) ;;
        esac;
        printf "\001refused %s\n%s\n" "${word}" "${said}";
    fi;
    ;;
esac
